package manifests_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

func loadConfig(environment, content string) (*manifests.Config, error) {
	return manifests.LoadConfig(fstest.MapFS{"environments/" + environment + "/config.yml": {Data: []byte(content)}}, environment)
}

// production is an example of a production config.yml.
const production = `environment:
  name: production
  type: production
  color: red
base:
  directory: /srv/coin-production
  registry: harbor.production.company.com/coin/release
nodes:
  - name: prod1
    context: coin-prod-node1
    endpoint: tcp://prod1.internal:2376
    stack: coinprod1
    role: primary
  - name: prod2
    context: coin-prod-node2
    endpoint: tcp://prod2.internal:2376
    stack: coinprod2
    role: secondary
deployment:
  replicas: 3
  database_pool_size: 50
  log_level: warning
  feature_flags:
    new_checkout: true
    beta_ui: false
  health_check_timeout: 300s
  strategy: blue-green
  auto_deploy: false
  approval_required: true
  health_check:
    enabled: true
  migration_check:
    enabled: true
  rollback:
    enabled: true
    automatic: true
approval:
  required: true
  approvers:
    - DevOps Lead
  change_advisory_board: true
notifications:
  slack:
    channel: "#production-deployments"
  email:
    - ops-team@company.com
`

func TestConfig(t *testing.T) {
	config, err := loadConfig("production", production)
	if err != nil {
		t.Fatal(err)
	}
	want := &manifests.Config{
		Environment: manifests.Environment{Name: "production", Type: manifests.Production, Color: "red"},
		Base:        manifests.Base{Directory: "/srv/coin-production", Registry: "harbor.production.company.com/coin/release"},
		Nodes: []manifests.NodeConfig{
			{Name: "prod1", Context: "coin-prod-node1", Endpoint: "tcp://prod1.internal:2376", Stack: "coinprod1", Role: manifests.Primary},
			{Name: "prod2", Context: "coin-prod-node2", Endpoint: "tcp://prod2.internal:2376", Stack: "coinprod2", Role: manifests.Secondary},
		},
		Deployment: manifests.Deployment{
			Strategy: manifests.BlueGreen, Replicas: 3, DatabasePoolSize: 50, LogLevel: "warning",
			FeatureFlags:       map[string]bool{"new_checkout": true, "beta_ui": false},
			HealthCheckTimeout: 300 * time.Second, ApprovalRequired: true,
			OrderTimeout: time.Hour,
			HealthCheck:  manifests.HealthCheck{Enabled: true, Interval: 10 * time.Second},
			MigrationCheck: manifests.MigrationCheck{
				Enabled: true, Table: "schema_migrations", Column: "id", ExpectedVariable: "EXPECTED_MIGRATION_ID", SSLMode: "prefer",
			},
			Performance: manifests.Performance{MaxDegradation: 20},
			Gates: manifests.Gates{
				Vulnerabilities: manifests.VulnerabilityGate{Severity: "Critical", OnNoAnswer: manifests.NoAnswerBlock},
				Disk:            manifests.DiskGate{MinFree: "1GB"}, Preflight: true,
			},
			Rollback: manifests.Rollback{Enabled: true, Automatic: true, Soak: 10 * time.Minute},
		},
		Approval: manifests.Approval{Required: true, Approvers: []string{"DevOps Lead"}, Minimum: 1, ChangeAdvisoryBoard: true},
		Notifications: manifests.Notifications{
			Slack: manifests.Slack{Channel: "#production-deployments"}, Email: []string{"ops-team@company.com"},
		},
		Interpolation: manifests.Strict,
		Images:        manifests.Images{Resolve: "changed", Missing: "refuse"},
		Secrets:       manifests.Secrets{Retention: manifests.Retention{Versions: 1}},
		Drift:         manifests.DriftReport,
	}
	if diff := cmp.Diff(want, config, cmpopts.IgnoreUnexported(manifests.Config{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"prod1", "prod2"}, config.Order()); diff != "" {
		t.Error(diff)
	}
	if place := config.Place("nodes[1].stack").String(); place != "environments/production/config.yml:17:12" {
		t.Errorf("place of a key: %s", place)
	}
	if place := config.Place("base.bind_root").String(); place != "environments/production/config.yml:6:3" {
		t.Errorf("place of a key that is not set: %s", place)
	}
}

func TestHealthTimeout(t *testing.T) {
	tests := []struct {
		environment, keys string
		want              time.Duration
	}{
		{"development", "", time.Minute},
		{"sandbox", "", 2 * time.Minute},
		{"testing", "", 3 * time.Minute},
		{"production", "", 5 * time.Minute},
		{"elsewhere", "", 5 * time.Minute},
		{"sandbox", "deployment: {health_check_timeout: 1m30s}\n", 90 * time.Second},
		{"sandbox", "deployment: {health_check: {timeout: 300s}}\n", 5 * time.Minute},
		{"sandbox", "deployment: {health_check: {timeout: 1d1h}}\n", 25 * time.Hour},
	}
	for _, test := range tests {
		config, err := loadConfig(test.environment, strings.Replace(plainConfig, "sandbox", test.environment, 1)+test.keys)
		if err != nil {
			t.Errorf("%s: %v", test.environment, err)
		} else if got := config.HealthTimeout(); got != test.want {
			t.Errorf("%s %s: got %s, want %s", test.environment, test.keys, got, test.want)
		}
	}
}

// TestConfigFaults expects all faults of each config.yml: place, text, hint.
func TestConfigFaults(t *testing.T) {
	more := func(lines string) string { return plainConfig + lines }
	node := func(lines string) string { return plainConfig + "    " + lines + "\n" }
	tests := map[string]struct {
		config string
		want   []string
	}{
		"empty":              {"", []string{`:1:1: the file is empty|add at least`}},
		"comment":            {"# nothing\n", []string{`:1:1: the file is empty|add`}},
		"list":               {"- a\n", []string{`:1:1: the file: want a mapping of keys and values, got a list|write`}},
		"bad yaml":           {"environment:\n\tname: x\n", []string{`:2: malformed YAML: found character that cannot start any token|check the indentation`}},
		"two documents":      {more("---\na: 1\n"), []string{`:8:1: the file has a second YAML document|keep one`}},
		"unknown anchor":     {more("drift: *x\n"), []string{`: malformed YAML: unknown anchor 'x' referenced|check`}},
		"unknown key":        {more("deploymnt: {}\n"), []string{`:8:1: unknown key "deploymnt"|did you mean "deployment"?`}},
		"quite unknown":      {node("xyzzy: 1"), []string{`:8:5: unknown key "xyzzy" in nodes[0]|use one of: name, context,`}},
		"duplicate":          {more("drift: report\ndrift: correct\n"), []string{`:9:1: key "drift" is set twice, first on line 8|keep one`}},
		"missing":            {"environment: {name: sandbox}\n", []string{`:1:14: required key "type" is missing in environment|add type: The environment's type.`, `:1:1: required key "nodes" is missing|add nodes`}},
		"nothing":            {more("approval:\n"), []string{`:8:10: approval: want a mapping of keys and values, got nothing|write a mapping of keys and values, or remove the key`}},
		"no nodes":           {strings.Split(plainConfig, "nodes:")[0] + "nodes: []\n", []string{`:4:8: nodes is empty|list at least one`}},
		"duration number":    {more("deployment: {health_check_timeout: 300}\n"), []string{`:8:36: deployment.health_check_timeout: want a duration such as 300s, got 300|write a duration such as 300s`}},
		"duration zero":      {more("deployment: {health_check_timeout: 0s}\n"), []string{`want a duration such as 300s, got "0s"|`}},
		"bool text":          {more("allow_plaintext_secrets: 'yes'\n"), []string{`:8:26: allow_plaintext_secrets: want true or false, got "yes"|`}},
		"port":               {more("database: {port: 70000}\n"), []string{`:8:18: database.port: want a whole number from 1 to 65535, got 70000|`}},
		"port text":          {more("database: {port: '5432'}\n"), []string{`want a whole number from 1 to 65535, got "5432"|`}},
		"replicas":           {more("deployment: {replicas: 0}\n"), []string{`want a whole number of at least 1, got 0|`}},
		"flag":               {more("deployment: {feature_flags: {a: on1}}\n"), []string{`deployment.feature_flags.a: want true or false, got "on1"|`}},
		"flags":              {more("deployment: {feature_flags: [a]}\n"), []string{`deployment.feature_flags: want a mapping of names to values, got a list|`}},
		"list of text":       {more("deployment: {order: node3}\n"), []string{`deployment.order: want a list, got "node3"|`}},
		"strategy":           {more("deployment: {strategy: blue_green}\n"), []string{`want one of sequential, parallel, blue-green, replace, got "blue_green"|did you mean "blue-green"?`}},
		"type":               {strings.Replace(plainConfig, "non-production", "staging", 1), []string{`want one of non-production, production, got "staging"|use one of`}},
		"role":               {node("role: master"), []string{`nodes[0].role: want one of primary, secondary, got "master"|`}},
		"ip":                 {node("public_ip: 10.0.0.256"), []string{`nodes[0].public_ip: want an IP address such as`}},
		"endpoint":           {node("endpoint: 10.0.0.1:2376"), []string{`nodes[0].endpoint: want an engine address such as tcp://`}},
		"endpoint port":      {node("endpoint: tcp://10.0.0.1"), []string{`nodes[0].endpoint: want an engine address`}},
		"e-mail":             {more("notifications: {email: [ops]}\n"), []string{`:8:25: notifications.email[0]: want an e-mail address`}},
		"registry":           {more("base: {registry: 'https://r/x'}\n"), []string{`base.registry: want a repository such as`}},
		"bind root":          {more("base: {bind_root: data}\n"), []string{`base.bind_root: want an absolute path`}},
		"bind root up":       {more("base: {bind_root: /a/../b}\n"), []string{`base.bind_root: want an absolute path`}},
		"stack":              {strings.Replace(plainConfig, "sbxapp3", "sbx.app", 1), []string{`nodes[0].stack: want a stack name`}},
		"node name":          {strings.Replace(plainConfig, "node3", "../node3", 1), []string{`nodes[0].name: want a name of`}},
		"number for a name":  {strings.Replace(plainConfig, "sbxapp3", "3", 1), []string{`nodes[0].stack: want a stack name of letters, digits, '_' and '-' such as sbxapp3, got 3|`}},
		"merge key":          {strings.Replace(plainConfig, "- name", "- <<: x\n    name", 1), []string{`:5:9: <<: want a mapping or a list of mappings, such as *defaults, got "x"|`}},
		"merge with itself":  {more("base: &b {<<: *b, registry: r}\n"), nil},
		"merge list":         {strings.Replace(plainConfig, "- name", "- <<: [x]\n    name", 1), []string{`:5:10: <<: want a mapping, such as *defaults, got "x"|`}},
		"mapping as key":     {more("? {a: b}\n: c\n"), []string{`:8:3: a key is a mapping|`}},
		"other folder":       {strings.Replace(plainConfig, "name: sandbox", "name: sandbx", 1), []string{`:2:9: environment.name is "sandbx", but the folder is environments/sandbox|write name: sandbox`}},
		"order unknown":      {more("deployment: {order: [node3, node9]}\n"), []string{`:8:29: deployment.order lists "node9", which is not a node in config.yml|did you mean "node3"?`}},
		"order misses":       {more("  - {name: node4, context: c, stack: s}\ndeployment: {order: [node3]}\n"), []string{`:9:21: deployment.order does not list node4|add node4`}},
		"order twice":        {more("deployment: {order: [node3, node3]}\n"), []string{`:8:29: deployment.order lists "node3" twice, first on line 8|rename or remove`}},
		"node twice":         {more("  - {name: node3, context: c, stack: s}\n"), []string{`:8:12: node "node3" is listed twice, first on line 5|rename`}},
		"stack twice":        {more("  - {name: node4, context: wlt-sbx-dkapp3-ams, stack: sbxapp3}\n"), []string{`:8:55: nodes node3 and node4 both have the stack "sbxapp3" on the context wlt-sbx-dkapp3-ams|set a different`}},
		"stack on others":    {more("  - {name: node4, context: other, stack: sbxapp3}\n"), nil},
		"timeouts":           {more("deployment: {health_check_timeout: 60s, health_check: {timeout: 61s}}\n"), []string{`:8:36: deployment.health_check_timeout is 1m0s, but deployment.health_check.timeout is 1m1s|remove`}},
		"same timeouts":      {more("deployment: {health_check_timeout: 60s, health_check: {timeout: 1m}}\n"), nil},
		"approvals":          {more("deployment: {approval_required: true}\napproval: {required: false}\n"), []string{`:8:33: deployment.approval_required is true, but approval.required is false|remove`}},
		"plaintext":          {strings.Replace(plainConfig, "non-production", "production", 1) + "allow_plaintext_secrets: true\n", []string{`:8:26: allow_plaintext_secrets is refused in an environment of type production|remove`}},
		"same compose files": {node("compose_files: [a.yml, a.yml]"), []string{`:8:28: nodes[0].compose_files lists "a.yml" twice`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wantFaults(t, test.config, test.want) })
	}
}

// wantFaults loads a config.yml, and wants faults: a part of each text, and after | the begin of its hint.
func wantFaults(t *testing.T, config string, all []string) {
	t.Helper()
	_, err := loadConfig("sandbox", config)
	got := fault.All(err)
	if len(got) != len(all) {
		t.Fatalf("got %d faults, want %d: %v", len(got), len(all), err)
	}
	for i, want := range all {
		text, hint, _ := strings.Cut(want, "|")
		if !strings.Contains(got[i].Error(), text) || !strings.HasPrefix(fault.Hint(got[i]), hint) || fault.Hint(got[i]) == "" {
			t.Errorf("got  %v|%s\nwant %s", got[i], fault.Hint(got[i]), want)
		}
	}
}

func TestConfigAnchors(t *testing.T) {
	config, err := loadConfig("sandbox", `environment: &e {name: sandbox, type: non-production}
nodes:
  - &a {name: a, context: c, stack: s1, role: secondary, public_ip: 10.0.0.1}
  - &b {<<: *a, name: b, stack: s2, public_ip: 10.0.0.2}
  - {<<: [*b, *a], name: c, stack: s3, role: primary}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []manifests.NodeConfig{
		{Name: "a", Context: "c", Stack: "s1", Role: manifests.Secondary, PublicIP: "10.0.0.1"},
		{Name: "b", Context: "c", Stack: "s2", Role: manifests.Secondary, PublicIP: "10.0.0.2"},
		{Name: "c", Context: "c", Stack: "s3", Role: manifests.Primary, PublicIP: "10.0.0.2"},
	}
	if diff := cmp.Diff(want, config.Nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
}
