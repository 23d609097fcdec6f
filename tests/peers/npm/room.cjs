// Apollo's client follows a room of examples/chat and prints what it sees, a JSON value a line, until it is ended.
//
//   node room.cjs LINK URL NAME ROOM       LINK: legacy (WebSocketLink) or modern (GraphQLWsLink)

const WebSocket = require("ws")
const { ApolloClient, InMemoryCache, gql } = require("@apollo/client/core")

globalThis.WebSocket = WebSocket // Apollo looks for it, as in a browser

const [kind, url, name, room] = process.argv.slice(2)
const cookie = `name=${Buffer.from(name).toString("hex")}`

class LoggedIn extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { headers: { cookie } })
  }
}

function makeLink() {
  if (kind === "legacy") {
    const { SubscriptionClient } = require("subscriptions-transport-ws")
    const { WebSocketLink } = require("@apollo/client/link/ws")
    return new WebSocketLink(new SubscriptionClient(url, { reconnect: true, minTimeout: 20000 }, LoggedIn))
  }
  const { createClient } = require("graphql-ws")
  const { GraphQLWsLink } = require("@apollo/client/link/subscriptions")
  return new GraphQLWsLink(createClient({ url, webSocketImpl: LoggedIn }))
}

const say = (value) => console.log(JSON.stringify(value))
const client = new ApolloClient({ link: makeLink(), cache: new InMemoryCache() })
const ASKED = gql`query ($room: ID!) { messages(room: $room) { text } }`
const HEARD = gql`subscription ($room: ID!) { messageCreated(room: $room) { number author text } }`
const SAID = gql`mutation ($room: ID!, $id: UUID!, $text: String!) { say(room: $room, id: $id, text: $text) { number } }`

client.subscribe({ query: HEARD, variables: { room } }).subscribe({
  next: (result) => say({ heard: result.data.messageCreated }),
  error: (error) => say({ error: Array.isArray(error) ? error[0].message : error.message }),
  complete: () => say("complete"),
})
client.query({ query: ASKED, variables: { room } }).then(
  (result) => say({ messages: result.data.messages.length }),
  () => {}, // who may not hear may not ask either: the subscription says it
)
require("readline").createInterface({ input: process.stdin }).on("line", (text) => {
  const id = require("crypto").randomUUID()
  client.mutate({ mutation: SAID, variables: { room, id, text } })
})
