// One adapter per client library: whole(o) and stream(o) return what the library understood of an answer, in one shape:
// content, reasoning, finish, completion (tokens), thought (tokens). o: baseURL, key, model, user, retries, signal, seen (called
// with every piece that arrives), extra (further fields of the request).
import OpenAI from 'openai';
import { generateText, streamText } from 'ai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createDeepSeek } from '@ai-sdk/deepseek';
import { ChatOpenAI } from '@langchain/openai';
import { ChatDeepSeek } from '@langchain/deepseek';

const messages = [{ role: 'user', content: 'hi' }];
const empty = () => ({ content: '', reasoning: '', finish: null, completion: null, thought: null });

function openAi(o) {
  return new OpenAI({ baseURL: o.baseURL, apiKey: o.key, maxRetries: o.retries });
}

function openAiUsage(result, usage) {
  if (!usage) return;
  result.completion = usage.completion_tokens;
  result.thought = usage.completion_tokens_details.reasoning_tokens;
}

const openai = {
  async whole(o) {
    const answer = await openAi(o).chat.completions.create({ model: o.model, user: o.user, messages, ...o.extra }, { signal: o.signal });
    const choice = answer.choices[0];
    const result = { ...empty(), content: choice.message.content, reasoning: choice.message.reasoning_content ?? '', finish: choice.finish_reason };
    openAiUsage(result, answer.usage);
    return result;
  },
  async stream(o) {
    const result = empty();
    const chunks = await openAi(o).chat.completions.create(
      { model: o.model, user: o.user, messages, stream: true, stream_options: { include_usage: true }, ...o.extra }, { signal: o.signal });
    for await (const chunk of chunks) {
      o.seen?.();
      const choice = chunk.choices[0];
      result.content += choice?.delta.content ?? '';
      result.reasoning += choice?.delta.reasoning_content ?? '';
      result.finish = choice?.finish_reason ?? result.finish;
      openAiUsage(result, chunk.usage);
    }
    return result;
  },
};

// The helper joins the chunks itself, but keeps only the last piece of fields that OpenAI does not have.
const openaiHelper = {
  async stream(o) {
    const runner = openAi(o).chat.completions.stream(
      { model: o.model, user: o.user, messages, stream_options: { include_usage: true }, ...o.extra }, { signal: o.signal });
    runner.on('chunk', () => o.seen?.());
    const answer = await runner.finalChatCompletion();
    const result = { ...empty(), content: answer.choices.map((c) => c.message.content).join('|'), finish: answer.choices[0].finish_reason };
    openAiUsage(result, answer.usage);
    return result;
  },
};

// The AI SDK's providers have no field for everything; what they lack is put into the body on its way.
function withFields(o) {
  return (url, init) => fetch(url, { ...init, body: JSON.stringify({ ...JSON.parse(init.body), user: o.user, ...o.extra }) });
}

function aiSdk(provider) {
  const call = (o) => ({ model: provider(o)(o.model), prompt: 'hi', maxRetries: o.retries, abortSignal: o.signal });
  return {
    async whole(o) {
      const answer = await generateText(call(o));
      return {
        content: answer.text, reasoning: answer.reasoningText ?? '', finish: answer.finishReason,
        completion: answer.usage.outputTokens, thought: answer.usage.outputTokenDetails.reasoningTokens,
      };
    },
    async stream(o) {
      const result = empty();
      for await (const part of streamText({ ...call(o), onError() {} }).fullStream) {
        if (part.type === 'error') throw part.error;
        if (part.type === 'abort') throw Object.assign(new Error('aborted'), { name: 'AbortError' });
        if (part.type === 'text-delta') result.content += part.text;
        if (part.type === 'reasoning-delta') result.reasoning += part.text;
        if (part.type.endsWith('-delta')) o.seen?.();
        if (part.type !== 'finish') continue;
        result.finish = part.finishReason;
        result.completion = part.totalUsage.outputTokens;
        result.thought = part.totalUsage.outputTokenDetails.reasoningTokens;
      }
      return result;
    },
  };
}

function langChain(Model) {
  const make = (o) => new Model({
    model: o.model, apiKey: o.key, maxRetries: o.retries, configuration: { baseURL: o.baseURL }, maxTokens: o.extra?.max_tokens,
    modelKwargs: { user: o.user, ...o.extra },
  });
  const read = (result, message) => {
    result.content += message.content;
    result.reasoning += message.additional_kwargs.reasoning_content ?? '';
    result.finish = message.response_metadata.finish_reason ?? result.finish;
    if (!message.usage_metadata) return;
    result.completion = message.usage_metadata.output_tokens;
    result.thought = message.usage_metadata.output_token_details?.reasoning ?? null;
  };
  return {
    async whole(o) {
      const result = empty();
      read(result, await make(o).invoke('hi', { signal: o.signal }));
      return result;
    },
    async stream(o) {
      const result = empty();
      for await (const message of await make(o).stream('hi', { signal: o.signal })) {
        o.seen?.();
        read(result, message);
      }
      return result;
    },
  };
}

export const clients = {
  'openai': openai,
  'openai-stream-helper': openaiHelper,
  'ai-openai-compatible': aiSdk((o) => createOpenAICompatible({ name: 'ours', baseURL: o.baseURL, apiKey: o.key, includeUsage: true, fetch: withFields(o) })),
  'ai-deepseek': aiSdk((o) => createDeepSeek({ baseURL: o.baseURL.replace('/v1', ''), apiKey: o.key, fetch: withFields(o) })),
  'langchain-openai': langChain(ChatOpenAI),
  'langchain-deepseek': langChain(ChatDeepSeek),
};
