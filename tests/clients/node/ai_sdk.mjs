import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";
import { BASE, run } from "./common.mjs";

const openai = createOpenAI({ baseURL: BASE + "/v1", apiKey: "k" });
const models = {
  chat: openai.chat("m"),
  responses: openai.responses("m"),
  anthropic: createAnthropic({ baseURL: BASE + "/v1", apiKey: "k" })("claude"),
  google: createGoogleGenerativeAI({ baseURL: BASE + "/v1beta", apiKey: "k" })("g"),
  compatible: createOpenAICompatible({ name: "own", baseURL: BASE + "/v1", apiKey: "k" })("m"),
};
const inputSchema = jsonSchema({ type: "object", properties: { city: { type: "string" } } });
const tools = { get_weather: tool({ inputSchema }) };
const weather = { get_weather: tool({ inputSchema, execute: async () => "21 degrees" }) };
const callOf = (calls) => [calls[0].toolName, calls[0].input];
const stopAfterTwo = ({ steps }) => steps.length >= 2;

function client(model) {
  const asked = (prompt) => ({ model, prompt, maxRetries: 0 });
  return {
    async whole(text) {
      const reply = await generateText(asked(text));
      return [reply.text, reply.finishReason];
    },
    async stream(text) {
      let said = "";
      const stream = streamText({ ...asked(text), onError: ({ error }) => { throw error; } });
      for await (const piece of stream.textStream) said += piece;
      return [said, await stream.finishReason];
    },
    refused: "content-filter",
    toolWhole: async (text) => callOf((await generateText({ ...asked(text), tools })).toolCalls),
    async toolStream(text) {
      const stream = streamText({ ...asked(text), tools });
      return callOf(await stream.toolCalls);
    },
    toolResult: async (text) => (await generateText({ ...asked(text), tools: weather, stopWhen: stopAfterTwo })).text,
  };
}

await run(Object.fromEntries(Object.entries(models).map(([name, model]) => [name, client(model)])));
