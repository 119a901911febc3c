import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { BASE, run } from "./common.mjs";

const client = new Anthropic({ baseURL: BASE, apiKey: "k", maxRetries: 0 });
const tools = [{ name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } } } }];
const asked = (text) => ({ model: "claude", max_tokens: 99, messages: [{ role: "user", content: text }] });
const textOf = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

async function whole(text) {
  const message = await client.messages.create(asked(text));
  return [textOf(message), message.stop_reason];
}

await run({
  messages: {
    whole,
    async stream(text) {
      let said = "", end = null;
      for await (const event of await client.messages.create({ ...asked(text), stream: true })) {
        if (event.type === "content_block_delta") said += event.delta.text;
        if (event.type === "message_delta") end = event.delta.stop_reason;
      }
      return [said, end];
    },
    refused: "refusal",
    async toolWhole(text) {
      const call = (await client.messages.create({ ...asked(text), tools })).content[0];
      return [call.name, call.input];
    },
    async toolStream(text) {
      const call = (await client.messages.stream({ ...asked(text), tools }).finalMessage()).content[0];
      return [call.name, call.input];
    },
    async toolResult(text) {
      const request = { ...asked(text), tools };
      const message = await client.messages.create(request);
      const result = { type: "tool_result", tool_use_id: message.content[0].id, content: "21 degrees" };
      request.messages.push({ role: "assistant", content: message.content }, { role: "user", content: [result] });
      return textOf(await client.messages.create(request));
    },
  },
  helpers: {
    whole,
    async stream(text) {
      let said = "";
      const stream = client.messages.stream(asked(text)).on("text", (piece) => (said += piece));
      const message = await stream.finalMessage();
      assert.equal(textOf(message), said);
      return [said, message.stop_reason];
    },
    refused: "refusal",
  },
});
