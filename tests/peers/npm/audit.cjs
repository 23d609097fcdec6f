// The audits of the GraphQL-over-HTTP specification, as the npm package graphql-http has them.
// Prints a JSON list: name and, where it is not ok, its status and reason.

const { auditServer } = require("graphql-http")

async function main() {
  const results = await auditServer({ url: process.argv[2] })
  console.log(JSON.stringify(results.map(({ name, status, reason }) => ({ name, status, reason: reason || null }))))
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
