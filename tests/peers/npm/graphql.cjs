// A GraphQL client of npm goes through one story and prints what it saw, a JSON value a line.
//
//   node graphql.cjs CLIENT URL...       CLIENT: legacy, modern, apollo-legacy, apollo-modern
//
// Every client is reduced to { subscribe(query, variables, observer) -> stop, refused(url) -> promise, close() }.

const WebSocket = require("ws")

globalThis.WebSocket = WebSocket // Apollo looks for it, as in a browser

const [kind, ...urls] = process.argv.slice(2)
let url
const say = (value) => console.log(JSON.stringify(value))
const told = (error) =>
  error instanceof Error ? error.message
  : Array.isArray(error) ? error.map(told).join()
  : error && error.code ? `${error.code} ${error.reason}`
  : error && error.message ? error.message
  : JSON.stringify(error)

function legacyClient(token) {
  const { SubscriptionClient } = require("subscriptions-transport-ws")
  const options = { connectionParams: { token }, reconnect: false, minTimeout: 20000, timeout: 20000 }
  return new SubscriptionClient(url, options, WebSocket)
}

function modernClient(token) {
  const { createClient } = require("graphql-ws")
  return createClient({ url, webSocketImpl: WebSocket, connectionParams: { token }, retryAttempts: 0, lazy: true })
}

function apolloClient(link) {
  const { ApolloClient, InMemoryCache } = require("@apollo/client/core")
  return new ApolloClient({ link, cache: new InMemoryCache(), defaultOptions: { query: { fetchPolicy: "no-cache" } } })
}

function overApollo(client, close) {
  const { parse } = require("graphql")
  return {
    subscribe(query, variables, observer) {
      const document = parse(query)
      const operation = document.definitions[0].operation
      if (operation === "subscription") {
        const running = client.subscribe({ query: document, variables }).subscribe(observer)
        return () => running.unsubscribe()
      }
      const asked = operation === "query" ? client.query({ query: document, variables })
        : client.mutate({ mutation: document, variables })
      asked.then((result) => { observer.next(result); observer.complete() }, observer.error)
      return () => {}
    },
    close,
  }
}

const MAKERS = {
  legacy() {
    const client = legacyClient("good")
    return {
      subscribe(query, variables, observer) {
        const running = client.request({ query, variables }).subscribe(observer)
        return () => running.unsubscribe()
      },
      close: () => client.close(),
    }
  },
  modern() {
    const client = modernClient("good")
    return {
      subscribe: (query, variables, observer) => client.subscribe({ query, variables }, observer),
      close: () => client.dispose(),
    }
  },
  "apollo-legacy"() {
    const { WebSocketLink } = require("@apollo/client/link/ws")
    const client = legacyClient("good")
    return overApollo(apolloClient(new WebSocketLink(client)), () => client.close())
  },
  "apollo-modern"() {
    const { GraphQLWsLink } = require("@apollo/client/link/subscriptions")
    const client = modernClient("good")
    return overApollo(apolloClient(new GraphQLWsLink(client)), () => client.dispose())
  },
}

function all(client, query, variables) {
  return new Promise((resolve) => {
    const seen = []
    client.subscribe(query, variables, {
      next: (result) => seen.push(result.errors ? { data: result.data, errors: result.errors.map(told) } : result.data),
      error: (error) => resolve({ seen, error: told(error) }),
      complete: () => resolve({ seen }),
    })
  })
}

function some(client, query, many) {
  return new Promise((resolve, reject) => {
    const seen = []
    const stop = client.subscribe(query, {}, {
      next(result) {
        seen.push(result.data)
        if (seen.length === many) {
          stop()
          resolve(seen)
        }
      },
      error: reject,
      complete: () => {},
    })
  })
}

async function quiet(client) {
  for (;;) {
    const { seen } = await all(client, "query { running }", {})
    if (seen[0].running === 0) return
  }
}

function refused() {
  return new Promise((resolve) => {
    if (kind.endsWith("legacy")) {
      const client = legacyClient("bad")
      client.onError(() => {})
      client.request({ query: "{ running }" }).subscribe({ next: () => resolve("let in"), error: () => {} })
      const socket = client.client
      socket.addEventListener("message", (event) => {
        const message = JSON.parse(event.data)
        if (message.type === "connection_error") resolve(message.payload.message)
      })
    } else {
      modernClient("bad").subscribe(
        { query: "{ running }" },
        { next: () => resolve("let in"), error: (error) => resolve(told(error)), complete: () => {} },
      )
    }
  })
}

async function story() {
  const client = MAKERS[kind]()
  say(await all(client, "query Hello($name: String!) { hello(name: $name) }", { name: "you" }))
  say(await all(client, 'mutation { rename(name: "x") { name } }', {}))
  say(await all(client, "subscription { count(to: 3) }", {}))
  say(await all(client, "subscription { nothing }", {}))
  say(await all(client, "query { fail }", {}))
  say(await Promise.all([1, 2, 3].map((to) => all(client, `subscription { count(to: ${to}) }`, {}))))
  say(await some(client, "subscription { forever }", 3))
  await quiet(client)
  say("nothing is left")
  client.close()
  say(await refused())
}

async function stories() {
  for (url of urls) await story()
}

stories().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
