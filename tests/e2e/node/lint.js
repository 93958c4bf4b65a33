'use strict';
// node lint.js DOCUMENT: holds an OpenAPI document (a file of JSON) against the specification and the rules that its linter recommends.
// One line on standard output for each finding; ends with 1 if there is any.
const {readFileSync} = require('fs');
const {createConfig, lintFromString} = require('@redocly/openapi-core');

async function main(file) {
  const config = await createConfig({
    extends: ['recommended'],
    rules: {
      // `default` says how every call fails.
      'operation-4xx-response': 'off',
      // Where it runs is the reader's.
      'no-server-example.com': 'error',
      'operation-operationId-unique': 'error',
      'operation-singular-tag': 'error',
      'operation-tag-defined': 'error',
      'path-parameters-defined': 'error',
      'no-unresolved-refs': 'error',
      'no-invalid-schema-examples': 'error',
    },
  });
  const found = await lintFromString({source: readFileSync(file, 'utf8'), absoluteRef: file, config});
  for (const {severity, ruleId, message, location} of found)
    console.log(`${severity} ${ruleId} at ${location[0] ? location[0].pointer : '#'}: ${message}`);
  return found.length ? 1 : 0;
}

main(process.argv[2]).then(code => { process.exitCode = code; }, error => { console.error(error); process.exitCode = 2; });
