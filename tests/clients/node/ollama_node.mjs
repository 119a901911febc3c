import { Ollama } from "ollama";
import { BASE, run } from "./common.mjs";

const client = new Ollama({ host: BASE });
const parameters = { type: "object", properties: { city: { type: "string" } } };
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
const asked = (text) => ({ model: "m", messages: [{ role: "user", content: text }] });
const callOf = (reply) => [reply.message.tool_calls[0].function.name, reply.message.tool_calls[0].function.arguments];

await run({
  chat: {
    async whole(text) {
      const reply = await client.chat(asked(text));
      return [reply.message.content, reply.done_reason];
    },
    async stream(text) {
      let said = "", end = null;
      for await (const reply of await client.chat({ ...asked(text), stream: true })) {
        said += reply.message.content;
        end = reply.done_reason ?? end;
      }
      return [said, end];
    },
    refused: "content_filter",
    toolWhole: async (text) => callOf(await client.chat({ ...asked(text), tools })),
    async toolStream(text) {
      for await (const reply of await client.chat({ ...asked(text), tools, stream: true })) {
        if (reply.message.tool_calls) return callOf(reply);
      }
    },
    async toolResult(text) {
      const request = { ...asked(text), tools };
      const reply = await client.chat(request);
      request.messages.push(reply.message, { role: "tool", content: "21 degrees", tool_name: "get_weather" });
      return (await client.chat(request)).message.content;
    },
  },
  generate: {
    async whole(text) {
      const reply = await client.generate({ model: "m", prompt: text });
      return [reply.response, reply.done_reason];
    },
    async stream(text) {
      let said = "", end = null;
      for await (const reply of await client.generate({ model: "m", prompt: text, stream: true })) {
        said += reply.response;
        end = reply.done_reason ?? end;
      }
      return [said, end];
    },
    refused: "content_filter",
  },
});
