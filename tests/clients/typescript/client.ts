// A client generated from the served description launches a server, looks at it and ends it.
// Its types are the description's: what is wrong there does not compile here.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Instance = components["schemas"]["Instance"];

const [url, key] = process.argv.slice(2);
if (url === undefined || key === undefined) throw new Error("usage: client URL KEY");
const roadstead = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

const launched = await roadstead.POST("/api/v1/instances", {
  body: { type: "echo", name: "from a generated client", expires_in: "10m" },
});
if (launched.data === undefined) throw new Error(`${launched.error.error.code}: ${launched.error.error.message}`);
const { id, access_token: token } = launched.data;
if (!token.startsWith("rsi_")) throw new Error("the answer to a launch has no access token");

const got = await roadstead.GET("/api/v1/instances/{id}", { params: { path: { id } } });
const instance: Instance | undefined = got.data;
if (instance?.status !== "running") throw new Error(`the instance is ${instance?.status}`);

const listed = await roadstead.GET("/api/v1/instances", { params: { query: { status: "running", limit: 10 } } });
if (!listed.data?.data.some((one) => one.id === id)) throw new Error("the list does not have it");

const deleted = await roadstead.DELETE("/api/v1/instances/{id}", { params: { path: { id } } });
if (deleted.response.status !== 204) throw new Error(`it was not deleted: ${deleted.response.status}`);
const gone = await roadstead.GET("/api/v1/instances/{id}", { params: { path: { id } } });
if (gone.error?.error.code !== "NOT_FOUND") throw new Error("it is still there");
console.log("launched, seen, listed, deleted");
