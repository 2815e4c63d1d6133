// Runs a bcoin node on its regression chain, in memory, with its RPC on the port in the first argument; ends with its standard input.
// bcoin's native database does not build on today's Node.js and is not needed in memory, so it is left out of the load.
'use strict';

const Module = require('module');
const load = Module._load;
Module._load = (name, ...rest) => (name === 'leveldown' ? {} : load(name, ...rest));

const modules = process.argv[2];
const port = Number(process.argv[3]);
const { FullNode } = require(modules + '/bcoin');
const node = new FullNode({
  network: 'regtest', memory: true, listen: false, httpHost: '127.0.0.1', httpPort: port, apiKey: 'k', workers: false,
  config: false, argv: false, env: false, logConsole: false
});

process.stdin.on('end', () => process.exit(0)).resume();
(async () => {
  await node.ensure();
  await node.open();
  await node.connect();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
