// An OpenID provider (npm's oidc-provider) for the tests of log-ins by one: who logs in is said by `login_hint`, and what it says of
// him by POST /accounts. Prints its issuer when it listens.
'use strict'
const crypto = require('crypto')
const fs = require('fs')
const http = require('http')
const https = require('https')
const path = require('path')
const url = require('url')

globalThis.crypto ??= crypto.webcrypto // Node 18

const config = JSON.parse(process.argv[2])
const accounts = new Map()

const jwk = (type, options, more) => ({ ...crypto.generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), ...more })

async function main () {
  const file = path.join(process.env.NODE_PATH, 'oidc-provider', 'lib', 'index.js')
  const { Provider } = await import(url.pathToFileURL(file))
  const server = config.certificate
    ? https.createServer({ cert: fs.readFileSync(config.certificate), key: fs.readFileSync(config.key) })
    : http.createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const issuer = config.certificate ? `https://localhost:${server.address().port}` : `http://127.0.0.1:${server.address().port}`
  const client = (id, algorithm) => ({
    client_id: id,
    client_secret: config.secret,
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/'],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    id_token_signed_response_alg: algorithm
  })
  const provider = new Provider(issuer, {
    clients: [client('orrery', 'RS256'), client('orrery-ec', 'ES256')],
    jwks: { keys: [jwk('rsa', { modulusLength: 2048 }, { use: 'sig' }), jwk('ec', { namedCurve: 'P-256' }, { use: 'sig' })] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups'] },
    scopes: ['openid', 'email', 'profile', 'groups'],
    cookies: { keys: [config.secret] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts.get(id) }) }),
    async loadExistingGrant (ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
      grant.addOIDCScope('openid email profile groups')
      await grant.save()
      return grant
    }
  })
  const serve = provider.callback()
  server.on('request', async (request, response) => {
    try {
      if (request.url === '/accounts') {
        let text = ''
        for await (const chunk of request) text += chunk
        for (const [id, claims] of Object.entries(JSON.parse(text))) accounts.set(id, claims)
        return response.end()
      }
      if (request.url.startsWith('/interaction/')) {
        const { params } = await provider.interactionDetails(request, response)
        const known = accounts.has(params.login_hint)
        return await provider.interactionFinished(request, response, known
          ? { login: { accountId: params.login_hint }, consent: {} } // native clients have to be agreed to
          : { error: 'access_denied', error_description: 'nobody of that name' })
      }
      serve(request, response)
    } catch (e) {
      response.statusCode = 500
      response.end(String(e))
    }
  })
  process.stdout.write(`${issuer}\n`)
  process.stdin.resume().on('end', () => process.exit(0)) // goes with the test
}
main().catch(e => { console.error(e); process.exit(1) })
