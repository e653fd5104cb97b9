// A merchant whose side is done by one of the two SDKs of the npm registry: nothing here signs or verifies.
//
// node merchant.mjs wechatpay-node-v3|wechatpay-axios-plugin
//
// One command a line on stdin, one answer a line on stdout, both JSON. The first command brings the account;
// after that `request` sends something and verifies the answer, `sign` only signs it, `verify` checks a
// signature, `seal` and `unseal` are for encrypted fields, `open` is for the resource of a callback.

import { createInterface } from 'node:readline'
import axiosPlugin from 'wechatpay-axios-plugin'
import NodeV3 from 'wechatpay-node-v3'

const ORIGIN = 'https://api.mch.weixin.qq.com'

// Signs only what it is told to send, and keeps the raw answer: the SDK's own transport parses it away.
class RecordingHttp {
  constructor (base) { this.base = base }

  async send (method, url, body, headers) {
    const target = url.replace(ORIGIN, this.base)
    const response = await fetch(target, { method, headers, body })
    this.last = { status: response.status, text: await response.text(), headers: Object.fromEntries(response.headers) }
    return { status: this.last.status, data: this.last.text }
  }

  get (url, headers) { return this.send('GET', url, undefined, headers) }

  post (url, document, headers) {
    const more = { ...headers, 'Content-Type': 'application/json' }
    return this.send('POST', url, JSON.stringify(document), more)
  }
}

function nodeV3 (account) {
  const Pay = NodeV3.default ?? NodeV3
  const pay = new Pay({
    appid: account.appid,
    mchid: account.mchid,
    serial_no: account.serial_no,
    publicKey: Buffer.from(account.platform_public_key_pem),
    privateKey: Buffer.from(account.private_key_pem),
    key: account.apiv3_key
  })
  const http = new RecordingHttp(account.base_url)
  pay.createHttp(http)
  Pay.certificates = { [account.platform_public_key_id]: account.platform_public_key_pem }

  // Its own signature of a POST without a body leaves out the line that stands for the body; `exact` puts
  // the text together here and leaves only the signing to it.
  function authorization (method, target, document, exact) {
    if (!exact) return pay.buildAuthorization(method, target, document)
    const stamp = String(Math.floor(Date.now() / 1000))
    const nonce = Math.random().toString(36).slice(2)
    return pay.getAuthorization(nonce, stamp, pay.sign(`${method}\n${target}\n${stamp}\n${nonce}\n\n`))
  }

  async function verify ({ headers, body }) {
    return pay.verifySign({
      timestamp: headers['wechatpay-timestamp'],
      nonce: headers['wechatpay-nonce'],
      serial: headers['wechatpay-serial'],
      signature: headers['wechatpay-signature'],
      body
    })
  }

  return {
    async request ({ method, target, document, serial, exact }) {
      const more = serial ? { 'Wechatpay-Serial': account.platform_public_key_id } : {}
      const headers = pay.getHeaders(authorization(method, target, document, exact), more)
      if (method === 'GET') await http.get(ORIGIN + target, headers)
      else await http.post(ORIGIN + target, document, headers)
      const { status, text, headers: answered } = http.last
      return { status, text, verified: await verify({ headers: answered, body: text }) }
    },
    async sign ({ method, target, document }) {
      return { authorization: authorization(method, target, document), body: JSON.stringify(document) }
    },
    async verify (answer) { return { verified: await verify(answer) } },
    async seal ({ text }) { return { text: pay.publicEncrypt(text, account.platform_public_key_pem) } },
    async unseal ({ text }) { return { text: pay.privateDecrypt(text) } },
    async open ({ resource }) {
      return { document: pay.decipher_gcm(resource.ciphertext, resource.associated_data, resource.nonce) }
    }
  }
}

function axiosMerchant (account) {
  const { Wechatpay, Rsa, Aes, Formatter, Decorator } = axiosPlugin
  const certs = { [account.platform_public_key_id]: Rsa.from(account.platform_public_key_pem, 'public') }
  const { client } = new Wechatpay({
    baseURL: account.base_url,
    mchid: account.mchid,
    serial: account.serial_no,
    privateKey: Buffer.from(account.private_key_pem),
    secret: account.apiv2_key,
    certs
  })

  return {
    async request ({ method, target, document, serial }) {
      const headers = serial ? { 'Wechatpay-Serial': account.platform_public_key_id } : {}
      let raw
      const seen = (text) => { raw = text; return text }
      try {
        const response = await client.v3.request({
          method,
          url: target,
          data: document,
          headers,
          transformResponse: [seen, ...[].concat(client.v3.defaults.transformResponse)]
        })
        return { status: response.status, text: raw, verified: true }
      } catch (error) {
        if (!error.response) throw error
        // The SDK verifies answers of 2xx only, and calls a wrong signature EV3_RES_….
        return { status: error.response.status, text: raw, verified: false, code: error.code }
      }
    },
    // WeChat Pay v2; the certificate goes where a proxy that ends TLS would put it.
    async packet ({ target, fields, certificate }) {
      try {
        const headers = { 'X-Client-Cert': encodeURIComponent(certificate) }
        return { answer: (await client.v2.request({ method: 'post', url: target, data: fields, headers })).data }
      } catch (error) {
        if (!error.response) throw error
        return { answer: error.response.data }
      }
    },
    async sign ({ method, target, document }) {
      const [nonce, stamp] = [Formatter.nonce(), Formatter.timestamp()]
      const body = JSON.stringify(document)
      const text = Formatter.request(method, target, stamp, nonce, body)
      const signature = Rsa.sign(text, Buffer.from(account.private_key_pem))
      const authorization = Formatter.authorization(account.mchid, nonce, signature, stamp, account.serial_no)
      return { authorization, body }
    },
    async verify ({ headers, body }) {
      const verifier = Decorator.responseVerifier(certs)
      return { verified: verifier.call({}, body, headers) === body }
    },
    async seal ({ text }) { return { text: Rsa.encrypt(text, account.platform_public_key_pem) } },
    async unseal ({ text }) { return { text: Rsa.decrypt(text, account.private_key_pem) } },
    async open ({ resource }) {
      const { nonce, ciphertext, associated_data: data } = resource
      return { document: JSON.parse(Aes.AesGcm.decrypt(ciphertext, account.apiv3_key, nonce, data)) }
    }
  }
}

const makers = { 'wechatpay-node-v3': nodeV3, 'wechatpay-axios-plugin': axiosMerchant }
const make = makers[process.argv[2]]
let merchant

for await (const line of createInterface({ input: process.stdin })) {
  const { act, ...fields } = JSON.parse(line)
  let answer
  try {
    if (act === 'account') {
      merchant = make(fields)
      answer = {}
    } else {
      answer = await merchant[act](fields)
    }
  } catch (error) {
    answer = { error: String(error?.message ?? error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
