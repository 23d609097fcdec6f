// The client of graphql-sse follows a subscription over server-sent events and prints what it saw.

const { createClient } = require("graphql-sse")

const client = createClient({ url: process.argv[2], singleConnection: false, retryAttempts: 0 })

function all(query) {
  return new Promise((resolve) => {
    const seen = []
    client.subscribe({ query }, {
      next: (result) => seen.push(result),
      error: (error) => resolve({ seen, error: String(error.message || error) }),
      complete: () => resolve({ seen }),
    })
  })
}

async function main() {
  for (const query of process.argv.slice(3)) console.log(JSON.stringify(await all(query)))
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
