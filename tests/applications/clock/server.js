// Says which version runs, and with which package. It has a file with its number while it listens.
const fs = require('node:fs');
const http = require('node:http');
const ms = require('ms');

const version = fs.readFileSync(`${__dirname}/version`, 'utf8');
const page = `${version} with ms ${require('ms/package.json').version}: ${ms('1 day')}`;
const pid = `${__dirname}/run/server.pid`;
const server = http.createServer((_, answer) => answer.end(page));
server.listen(Number(process.argv[2]), '127.0.0.1', () => fs.writeFileSync(pid, String(process.pid)));
process.on('SIGTERM', () => server.close(() => { fs.unlinkSync(pid); process.exit(0); }));
