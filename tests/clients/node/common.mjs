// What every client is put through, as `python/common.py` says it.
import assert from "node:assert/strict";

export const REFUSAL = "I'm sorry, I can't respond to that.";
const PLAIN = "The capital of France is Paris.";
const MASKED = "Write to <EMAIL_ADDRESS> soon.";
export const BASE = process.argv[2];
const MODE = process.argv[3];

function masked({ whole, stream }) {
  return [["", whole], [", streamed", stream]].flatMap(([name, ask]) => [
    ["masked out" + name, async () => assert.equal((await ask("say mail"))[0], MASKED)],
    ["masked in" + name, async () => assert.equal((await ask("say ann@example.com please"))[0], "You said: <EMAIL_ADDRESS> please")],
  ]);
}

function blocked({ whole, stream, refused, toolWhole, toolStream, toolResult }) {
  const all = [["", whole], [", streamed", stream]].flatMap(([name, ask]) => [
    ["plain" + name, async () => assert.equal((await ask("say plain"))[0], PLAIN)],
    ["blocked in" + name, async () => assert.deepEqual(await ask("say badword"), [REFUSAL, refused])],
    ["blocked out" + name, async () => assert.deepEqual(await ask("say key first"), [REFUSAL, refused])],
  ]);
  all.push(
    ["blocked out late", async () => assert.deepEqual(await whole("say key late"), [REFUSAL, refused])],
    ["blocked in the middle of a stream", async () => {
      const [text, end] = await stream("say key late");
      assert.ok(text.startsWith("Of course. The key is ") && text.endsWith(REFUSAL), text);
      assert.ok(!text.includes("sk-"), text);
      assert.equal(end, refused);
    }],
  );
  const call = ["get_weather", { city: "Paris" }];
  if (toolWhole) all.push(["tool", async () => assert.deepEqual(await toolWhole("say tool"), call)]);
  if (toolStream) all.push(["tool, streamed", async () => assert.deepEqual(await toolStream("say tool"), call)]);
  if (toolResult) all.push(["tool's result", async () => assert.equal(await toolResult("say tool"), "It is 21 degrees.")]);
  return all;
}

export async function run(clients) {
  let failed = 0;
  for (const [client, functions] of Object.entries(clients)) {
    for (const [name, test] of { blocked, masked }[MODE](functions)) {
      try {
        await test();
        console.log(`ok ${client}: ${name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED ${client}: ${name}\n${error.stack}`);
      }
    }
  }
  process.exit(failed ? 1 : 0);
}
