import OpenAI from "openai";
import { BASE, run } from "./common.mjs";

const client = new OpenAI({ baseURL: BASE + "/v1", apiKey: "k", maxRetries: 0 });
const parameters = { type: "object", properties: { city: { type: "string" } } };
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
const flatTools = [{ type: "function", name: "get_weather", parameters, strict: false }];
const asked = (text) => ({ model: "m", messages: [{ role: "user", content: text }] });
const end = (response) => response.incomplete_details?.reason ?? response.status;

async function whole(text) {
  const choice = (await client.chat.completions.create(asked(text))).choices[0];
  return [choice.message.content, choice.finish_reason];
}

async function stream(text) {
  let said = "", end = null;
  for await (const chunk of await client.chat.completions.create({ ...asked(text), stream: true })) {
    said += chunk.choices[0].delta.content ?? "";
    end = chunk.choices[0].finish_reason ?? end;
  }
  return [said, end];
}

async function helperStream(text) {
  const choice = (await client.chat.completions.stream(asked(text)).finalChatCompletion()).choices[0];
  return [choice.message.content, choice.finish_reason];
}

await run({
  chat: {
    whole,
    stream,
    refused: "content_filter",
    async toolWhole(text) {
      const call = (await client.chat.completions.create({ ...asked(text), tools })).choices[0].message.tool_calls[0].function;
      return [call.name, JSON.parse(call.arguments)];
    },
    async toolStream(text) {
      const stream = client.chat.completions.stream({ ...asked(text), tools });
      const call = (await stream.finalChatCompletion()).choices[0].message.tool_calls[0].function;
      return [call.name, JSON.parse(call.arguments)];
    },
    async toolResult(text) {
      const request = { ...asked(text), tools };
      const message = (await client.chat.completions.create(request)).choices[0].message;
      request.messages.push(message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "21 degrees" });
      return (await client.chat.completions.create(request)).choices[0].message.content;
    },
  },
  helpers: { whole, stream: helperStream, refused: "content_filter" },
  responses: {
    async whole(text) {
      const response = await client.responses.create({ model: "m", input: text });
      return [response.output_text, end(response)];
    },
    async stream(text) {
      let said = "", last = null;
      for await (const event of await client.responses.create({ model: "m", input: text, stream: true })) {
        if (event.type === "response.output_text.delta") said += event.delta;
        if (event.type === "response.completed" || event.type === "response.incomplete") last = event.response;
      }
      return [said, end(last)];
    },
    refused: "content_filter",
    async toolWhole(text) {
      const call = (await client.responses.create({ model: "m", input: text, tools: flatTools })).output[0];
      return [call.name, JSON.parse(call.arguments)];
    },
    async toolStream(text) {
      const response = await client.responses.stream({ model: "m", input: text, tools: flatTools }).finalResponse();
      return [response.output[0].name, JSON.parse(response.output[0].arguments)];
    },
    async toolResult(text) {
      const input = [{ role: "user", content: text }];
      const call = (await client.responses.create({ model: "m", input, tools: flatTools })).output[0];
      input.push(call, { type: "function_call_output", call_id: call.call_id, output: "21 degrees" });
      return (await client.responses.create({ model: "m", input, tools: flatTools })).output_text;
    },
  },
});
