// Swagger UI shows a response when it has ended. This script shows an event stream while it runs: thoughts dimmed, answers
// bright, what is neither as it came. The normal view still fills at the end.
(() => {
  const original = window.fetch;

  function panel() {
    document.getElementById('live-stream')?.remove();
    const box = document.createElement('pre');
    box.id = 'live-stream';
    box.style.cssText = 'position:fixed;right:1em;bottom:1em;width:40em;max-width:90vw;max-height:40vh;overflow:auto;'
      + 'margin:0;padding:1em;background:#1b1b1b;color:#f5f5f5;border-radius:6px;z-index:9999;white-space:pre-wrap';
    box.title = 'Click to close';
    box.addEventListener('click', () => box.remove());
    document.body.append(box);
    return box;
  }

  // Pieces of one kind and choice follow each other in one element.
  function add(box, kind, colour, text) {
    if (!text) return;
    let last = box.lastElementChild;
    if (!last || last.dataset.kind !== kind) {
      last = document.createElement('span');
      last.dataset.kind = kind;
      last.style.color = colour;
      if (box.childElementCount) last.textContent = '\n\n';
      box.append(last);
    }
    last.textContent += text;
  }

  function event(box, data) {
    let chunk;
    try { chunk = JSON.parse(data); } catch { return add(box, 'end', '#7a7a7a', data); }
    if (!chunk.choices) return add(box, 'other', '#ff8a80', data);
    for (const choice of chunk.choices) {
      add(box, 'thought' + choice.index, '#8f8f8f', choice.delta?.reasoning_content);
      add(box, 'answer' + choice.index, '#f5f5f5', choice.delta?.content ?? choice.text);
      if (choice.finish_reason) add(box, 'end' + choice.index, '#7a7a7a', `[${choice.finish_reason}]`);
    }
    if (chunk.usage) add(box, 'usage', '#7a7a7a', JSON.stringify(chunk.usage));
  }

  async function show(stream) {
    const box = panel();
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let pending = '';
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const lines = (pending + next.value).split('\n');
      pending = lines.pop();
      for (const line of lines) if (line.startsWith('data: ')) event(box, line.slice(6));
      box.scrollTop = box.scrollHeight;
    }
  }

  window.fetch = async (...args) => {
    const response = await original(...args);
    if (!(response.headers.get('content-type') || '').startsWith('text/event-stream') || !response.body) return response;
    const [live, rest] = response.body.tee();
    show(live).catch(() => {});
    return new Response(rest, { status: response.status, statusText: response.statusText, headers: response.headers });
  };
})();
