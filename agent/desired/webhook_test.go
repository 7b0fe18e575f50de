package desired_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

// TestWebhookHost has a commit choose where notices are posted to: not to this machine, and
// where the policy names hosts, only to those.
func TestWebhookHost(t *testing.T) {
	key := sopstest.NewKey(t)
	ring := key.Keyring(t)
	const slack = `notifications: {hosts: [hooks.slack.com, "127.0.0.1:8065"]}`
	const here, refused = "names this machine, ", "policy.notifications.hosts of the node does not allow "
	for _, test := range []struct{ host, policy, want string }{
		{"https://hooks.slack.com", "", ""},
		{"https://hooks.slack.com", slack, ""},
		{"https://hooks.slack.com:444", `notifications: {hosts: ["*:443"]}`, refused + "hooks.slack.com:444"},
		{"https://evil.example", slack, refused + "evil.example:443"},
		{"https://evil.example", "strict: true", ""},
		{"http://127.0.0.1:2375", "", here + "127.0.0.1:2375"},
		{"http://127.0.0.1:2375", slack, refused + "127.0.0.1:2375"},
		{"http://127.0.0.1:8065", slack, ""},
		{"http://LOCALHOST.", "", here + "LOCALHOST.:80"},
		{"https://a.localhost", "", here + "a.localhost:443"},
		{"http://[::1]:9180", "", here + "[::1]:9180"},
		{"http://[::ffff:127.0.0.1]", "", here + "[::ffff:127.0.0.1]:80"},
		{"http://0.0.0.0:9180", "", here + "0.0.0.0:9180"},
	} {
		fsys := bound("notifications: {slack: {channel: '#ops', webhook_url_variable: HOOK}}\n")
		fsys["environments/sandbox/nodes/node3/secrets.enc"] = file(sopstest.YAML(t, key, map[string]string{"HOOK": test.host + "/services/s3cr3t"}))
		state, err := desired.Open(t.Context(), fsys, desired.Options{
			Environment: "sandbox", Node: "node3", Keys: func() (*secrets.Keyring, error) { return ring, nil },
			Bounds: desired.Bounds{Policy: rules(t, test.policy)},
		})
		if err != nil {
			t.Fatal(err)
		}
		value, err := state.Webhook()
		switch {
		case test.want == "":
			if err != nil || !value.Known() {
				t.Errorf("%s {%s}: %v", test.host, test.policy, err)
			}
		case err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cr3t") || fault.Hint(err) == "" || value.Known():
			t.Errorf("%s {%s}: got %v, want %q", test.host, test.policy, err, test.want)
		}
		state.Wipe()
	}
}
