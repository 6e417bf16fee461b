// Talks to a server with the official client and prints what it understood. Arguments: base URL, model.
import OpenAI from 'openai';

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
const request = { model, user: 'npm', messages: [{ role: 'user', content: 'hi' }] };

const answer = await client.chat.completions.create(request);
const whole = {
  content: answer.choices[0].message.content,
  reasoning: answer.choices[0].message.reasoning_content,
  finish: answer.choices[0].finish_reason,
  completion: answer.usage.completion_tokens,
  reasoningTokens: answer.usage.completion_tokens_details.reasoning_tokens,
};

const stream = { content: '', reasoning: '', finish: null, completion: 0 };
for await (const chunk of await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
  const choice = chunk.choices[0];
  stream.content += choice?.delta?.content ?? '';
  stream.reasoning += choice?.delta?.reasoning_content ?? '';
  stream.finish = choice?.finish_reason ?? stream.finish;
  stream.completion = chunk.usage?.completion_tokens ?? stream.completion;
}

const final = await client.chat.completions.stream(request).finalChatCompletion();
const helper = { content: final.choices[0].message.content, finish: final.choices[0].finish_reason };

let error = null;
try {
  await client.chat.completions.create({ ...request, model: 'gpt-4' });
} catch (e) {
  error = { status: e.status, code: e.code, param: e.param };
}

const models = [];
for await (const m of client.models.list()) models.push(m.id);

console.log(JSON.stringify({ whole, stream, helper, error, models }));
