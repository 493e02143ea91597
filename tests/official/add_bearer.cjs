// Loaded by NODE_OPTIONS=--require: every request of this process to the gate carries the token in TOKEN.
// The official suite has no option for one, and a proxy in between would change what is tested.
'use strict';

const diagnostics = require('node:diagnostics_channel');
const http = require('node:http');

const bearer = `Bearer ${process.env.TOKEN}`;

// fetch and undici.request
diagnostics.subscribe('undici:request:create', ({ request }) => request.addHeader('authorization', bearer));

// node:http, which `http-header-validation` uses
const { request } = http;
http.request = function (...args) {
  const made = request.apply(this, args);
  made.setHeader('authorization', bearer);
  return made;
};
