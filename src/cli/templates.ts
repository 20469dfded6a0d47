/** What `deed init` writes. */
export const configTemplate = `# Every member is optional; what stands here is the default or an example.
listen: 127.0.0.1:7333 # beyond loopback only with a token: see api.token_env
data: ./data
rules: [./rules]

# executors:
#   shell:
#     allow: [["./restart.sh"]] # leading words of what may run; nothing else does
#     env_pass: []
#   http:
#     allow_hosts: [127.0.0.1]

# sources:
#   - kind: file
#     name: jobs
#     path: ./jobs.jsonl
#     mapping: { event_type: "job.\${status}", entity_id: "job:\${job}", ts: $.ts }
#   - kind: probe
#     name: web
#     entity: service:web
#     http: { url: http://127.0.0.1:8080/healthz }
#     interval: 5s
`;

export const ruleTemplate = `# A job that failed is answered with an action. Try it while \`deed start\` runs:
#   curl -s 127.0.0.1:7333/v1/events -H 'content-type: application/json' -d '{
#     "ts": "'$(date -u +%FT%TZ)'", "event_type": "job.failed", "entity_id": "job:export",
#     "idempotency_key": "try-1", "source": {"system": "me", "ns": {}}, "tags": {}, "attrs": {"exit_code": 1}}'
apiVersion: deed/v1
kind: Rule
metadata:
  name: failed-job
  description: Answers a failed job, at most once a minute for each job
spec:
  on: job.failed
  when: event.attrs.exit_code != 0
  per: event.entity_id
  cool_down: 1m
  horizon: 10m
  mode: live
  request:
    command: noop
    args: { result: "{{ event.entity_id }} ended with {{ event.attrs.exit_code }}" }
    ttl: 5m
`;
