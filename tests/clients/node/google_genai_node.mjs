import { GoogleGenAI } from "@google/genai";
import { BASE, run } from "./common.mjs";

const client = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: BASE } });
const declared = { name: "get_weather", parameters: { type: "OBJECT", properties: { city: { type: "STRING" } } } };
const config = { tools: [{ functionDeclarations: [declared] }] };
const model = "g";
const callOf = (reply) => [reply.functionCalls[0].name, reply.functionCalls[0].args];

await run({
  models: {
    async whole(text) {
      const reply = await client.models.generateContent({ model, contents: text });
      return [reply.text, reply.candidates[0].finishReason];
    },
    async stream(text) {
      let said = "", end = null;
      for await (const reply of await client.models.generateContentStream({ model, contents: text })) {
        said += reply.text ?? "";
        end = reply.candidates[0].finishReason ?? end;
      }
      return [said, end];
    },
    refused: "SAFETY",
    toolWhole: async (text) => callOf(await client.models.generateContent({ model, contents: text, config })),
    async toolStream(text) {
      for await (const reply of await client.models.generateContentStream({ model, contents: text, config })) {
        if (reply.functionCalls) return callOf(reply);
      }
    },
    async toolResult(text) {
      const contents = [{ role: "user", parts: [{ text }] }];
      const reply = await client.models.generateContent({ model, contents, config });
      const result = { functionResponse: { name: "get_weather", response: { result: "21 degrees" } } };
      contents.push(reply.candidates[0].content, { role: "user", parts: [result] });
      return (await client.models.generateContent({ model, contents, config })).text;
    },
  },
});
