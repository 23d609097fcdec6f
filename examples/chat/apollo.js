// The chat by Apollo's client: queries and mutations over HTTP, subscriptions over a WebSocket.
// With ?old in the address it takes the older sub-protocol, as Apollo's first clients did.
import { ApolloClient, HttpLink, InMemoryCache, gql, split } from "@apollo/client/core";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { WebSocketLink } from "@apollo/client/link/ws";
import { getMainDefinition } from "@apollo/client/utilities";
import { createClient } from "graphql-ws";
import { SubscriptionClient } from "subscriptions-transport-ws";

const MESSAGE = "number id author text";
const PAST = gql`query ($room: ID!, $after: Int) { messages(room: $room, after: $after) { ${MESSAGE} } }`;
const CREATED = gql`subscription ($room: ID!) { messageCreated(room: $room) { ${MESSAGE} } }`;
const SAY = gql`mutation ($room: ID!, $id: UUID!, $text: String!) { say(room: $room, id: $id, text: $text) { id } }`;

const room = decodeURIComponent(location.pathname.split("/")[2]);
const old = new URLSearchParams(location.search).has("old");
const state = document.getElementById("state");
const shown = new Map();

// Whoever connects again asks for what was said meanwhile: a subscription knows only what comes.
const url = `${location.origin.replace("http", "ws")}/graphql`;
const socket = old
  ? new WebSocketLink(new SubscriptionClient(url, { reconnect: true, connectionCallback: catchUp }))
  : new GraphQLWsLink(createClient({ url, retryAttempts: Infinity, shouldRetry: () => true, on: { connected: catchUp } }));
const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: split(
    ({ query }) => getMainDefinition(query).operation === "subscription", socket, new HttpLink({ uri: "/graphql" }),
  ),
});

async function catchUp() {
  const after = Math.max(0, ...[...shown.values()].map((message) => message.number));
  const answer = await client.query({ query: PAST, variables: { room, after }, fetchPolicy: "network-only" });
  answer.data.messages.forEach(show);
  state.textContent = old ? "connected by graphql-ws" : "connected by graphql-transport-ws";
}

function show(message) {
  shown.set(message.id, message);
  const lines = [...shown.values()].sort((one, other) => one.number - other.number).map(({ author, text }) => {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("b"), { textContent: author }), " ");
    item.append(Object.assign(document.createElement("span"), { textContent: text }));
    return item;
  });
  document.getElementById("said").replaceChildren(...lines);
}

document.getElementById("room").textContent = room;
document.getElementById("say").onsubmit = (event) => {
  event.preventDefault();
  const field = event.target.elements.text;
  client.mutate({ mutation: SAY, variables: { room, id: crypto.randomUUID(), text: field.value } }).catch(tell);
  field.value = "";
};
client.subscribe({ query: CREATED, variables: { room } }).subscribe({
  next: ({ data, errors }) => (errors ? refuse() : show(data.messageCreated)),
  error: refuse,
});

function tell(error) {
  state.textContent = error.message;
}

function refuse() {
  state.textContent = "you are not in this room";
}
