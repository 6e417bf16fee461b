// Swagger UI shows a response when it has ended. This script shows an event stream while it runs: it copies the body of
// every event-stream answer into a panel; the normal view still fills at the end.
(() => {
  const original = window.fetch;

  function panel() {
    let box = document.getElementById('live-stream');
    if (!box) {
      box = document.createElement('pre');
      box.id = 'live-stream';
      box.style.cssText = 'position:fixed;right:1em;bottom:1em;width:40em;max-width:90vw;max-height:40vh;overflow:auto;'
        + 'margin:0;padding:1em;background:#1b1b1b;color:#e8e8e8;border-radius:6px;z-index:9999;white-space:pre-wrap';
      box.title = 'Click to close';
      box.addEventListener('click', () => box.remove());
      document.body.append(box);
    }
    box.textContent = '';
    return box;
  }

  async function show(stream) {
    const box = panel();
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      box.textContent += next.value;
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
