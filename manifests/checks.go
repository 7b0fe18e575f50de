package manifests

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/slots"
)

// Check is one entry of `deployment.checks`; it has one of http, tcp, sql, exec.
type Check struct {
	Name     string        `yaml:"name" required:"true" format:"name" example:"health" doc:"The name of the check in reports and in time comparisons."`
	Nodes    []string      `yaml:"nodes" example:"[node3, node4]" doc:"The nodes that it runs on. Default: all."`
	Stacks   []string      `yaml:"stacks" json:",omitempty" example:"[system, business]" doc:"On a node with several stacks, those whose rollouts it follows. Default: the last of the list."`
	Retries  int           `yaml:"retries" min:"0" max:"1000" default:"3" doc:"How many times it is retried before it counts as failed."`
	Interval time.Duration `yaml:"interval" default:"5s" doc:"The time between two attempts."`
	Timeout  time.Duration `yaml:"timeout" default:"10s" doc:"How long one attempt may take."`
	HTTP     HTTPCheck     `yaml:"http" doc:"One HTTP request, and the response that it expects."`
	TCP      TCPCheck      `yaml:"tcp" doc:"A port that must accept connections."`
	SQL      SQLCheck      `yaml:"sql" doc:"One PostgreSQL query, in a read-only transaction."`
	Exec     ExecCheck     `yaml:"exec" doc:"A command in a running container of a service on this node. It must exit with 0."`
}

// HTTPCheck is the section `http` of a check.
type HTTPCheck struct {
	URL          string            `yaml:"url" required:"true" format:"url" doc:"The URL to request. May contain {{name}} of the node's facts and of values saved by earlier checks."`
	Method       string            `yaml:"method" enum:"GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS" default:"GET" doc:"The request method."`
	Headers      map[string]string `yaml:"headers" example:"{Content-Type: application/json}" doc:"Headers to send. May also contain {{secret.NAME}}."`
	Body         string            `yaml:"body" example:"'{\"amount\":100}'" doc:"The body to send. May also contain {{secret.NAME}}."`
	TokenSecret  string            `yaml:"token_secret" example:"api_test_token" doc:"The secret of the node that is sent as Authorization: Bearer."`
	TokenFile    string            `yaml:"token_file" format:"plainfile" example:"app.token" doc:"The file in the agent's check_dir that holds the token instead. It is sent only where the node's policy or the last good revision allows."`
	Status       []int             `yaml:"status" single:"true" min:"100" max:"599" example:"[200, 401]" doc:"The expected status, or a list of expected statuses. Default: 200."`
	Header       map[string]string `yaml:"header" example:"{Content-Type: application/json}" doc:"Headers that the response must have, with their values."`
	BodyContains string            `yaml:"body_contains" example:"ready" doc:"A text that the response must contain."`
	JSONPath     string            `yaml:"json_path" format:"jsonpath" doc:"The path of a value in the response, such as data.items[0].id. The value must exist and must not be empty."`
	JSONEquals   []string          `yaml:"json_equals" single:"true" example:"[pending, completed]" doc:"The expected value at json_path as a text, or a list of expected values."`
	SaveAs       string            `yaml:"save_as" format:"saved" doc:"The name by which later checks use the value at json_path as {{name}}. The value is treated as a secret."`
	TLS          CheckTLS          `yaml:"tls" doc:"Which server certificate is trusted, for https."`
}

// CheckTLS is the section `tls` of a check.
type CheckTLS struct {
	CASecret           string `yaml:"ca_secret" example:"internal_ca" doc:"The secret of the node that holds the trusted CA certificates (PEM). Default: the system's."`
	CAFile             string `yaml:"ca_file" format:"plainfile" example:"ca.pem" doc:"The file in the agent's check_dir that holds the certificates instead."`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" doc:"Skip the verification of the server's certificate, as curl -k does."`
	ServerName         string `yaml:"server_name" format:"host" example:"api.example.com" doc:"The name that the server's certificate must have. Default: the host of the request."`
}

// TCPCheck is the section `tcp` of a check.
type TCPCheck struct {
	Address string `yaml:"address" required:"true" format:"address" doc:"host:port. May contain {{name}} of the node's facts."`
}

// SQLCheck is the section `sql` of a check.
type SQLCheck struct {
	Query          string   `yaml:"query" required:"true" example:"SELECT max(id) FROM schema_migrations" doc:"The query. May contain {{name}} of the node's facts."`
	Equals         []string `yaml:"equals" single:"true" example:"\"{{env.EXPECTED_MIGRATION_ID}}\"" doc:"The expected first column of the first row as a text, or a list of expected values. Default: the query must succeed."`
	Host           string   `yaml:"host" format:"host" example:"postgres-sandbox.internal" doc:"The database server. Default: database.host."`
	Port           int      `yaml:"port" min:"1" max:"65535" example:"5432" doc:"The port. Default: database.port, or 5432 if that is not set."`
	Name           string   `yaml:"name" example:"coin_sandbox" doc:"The database. Default: database.name."`
	User           string   `yaml:"user" example:"coin" doc:"The user. Default: database.user."`
	PasswordSecret string   `yaml:"password_secret" example:"DATABASE_PASSWORD" doc:"The secret of the node that holds the password."`
	PasswordFile   string   `yaml:"password_file" format:"plainfile" example:"db.password" doc:"The file in the agent's check_dir that holds the password instead."`
	SSLMode        string   `yaml:"sslmode" enum:"disable|prefer|require|verify-full" default:"prefer" doc:"The TLS mode, with the meaning that it has in psql. A password is sent to another machine only with TLS: there prefer requires TLS, and disable is refused."`
	TLS            CheckTLS `yaml:"tls" doc:"Which server certificate is trusted, for sslmode: verify-full."`
}

// ExecCheck is the section `exec` of a check.
type ExecCheck struct {
	Service        string   `yaml:"service" required:"true" format:"stack" doc:"The name of the service in the compose file."`
	Command        []string `yaml:"command" required:"true" example:"[/app, health]" doc:"The program and its arguments, run without a shell. May contain {{name}} of the node's facts."`
	OutputContains string   `yaml:"output_contains" example:"ok" doc:"A text that the command must print."`
}

// Performance is the section `deployment.performance`.
type Performance struct {
	MaxDegradation int  `yaml:"max_degradation" min:"0" max:"10000" default:"20" doc:"By how many percent a check may be slower than the median of the last good releases (at most 10). Differences below 50 ms are ignored."`
	Fail           bool `yaml:"fail" doc:"Whether a slower check fails the rollout. Otherwise it is a warning."`
}

const (
	secretFact   = "secret."
	variableFact = "env."
)

func factNames() []string { return []string{"environment", "node", "stack", "release", "public_ip"} }

// Checks lists the checks that follow a rollout of the node's stack, in order, and their keys in
// config.yml.
func (n *Node) Checks() (checks []Check, keys []string) {
	for i, check := range n.Config.Deployment.Checks {
		if (len(check.Nodes) == 0 || slices.Contains(check.Nodes, n.Name)) && n.follows(check.Stacks) {
			checks, keys = append(checks, check), append(keys, fmt.Sprintf("deployment.checks[%d]", i))
		}
	}
	return checks, keys
}

// Secrets lists the secrets that a check needs, sorted.
func (c Check) Secrets() []string {
	secrets := []string{c.HTTP.TokenSecret, c.HTTP.TLS.CASecret, c.SQL.PasswordSecret, c.SQL.TLS.CASecret}
	for _, text := range c.texts() {
		names, _ := slots.Names(text.text) // validated
		for _, name := range names {
			if secret, ok := strings.CutPrefix(name, secretFact); ok {
				secrets = append(secrets, secret)
			}
		}
	}
	slices.Sort(secrets)
	return slices.DeleteFunc(slices.Compact(secrets), func(secret string) bool { return secret == "" })
}

// checkText is a text of a check that may contain names, and the kinds allowed in it.
type checkText struct {
	key, text      string
	saved, secrets bool
}

func (c Check) texts() []checkText {
	texts := []checkText{
		{key: "http.url", text: c.HTTP.URL, saved: true},
		{key: "http.body", text: c.HTTP.Body, saved: true, secrets: true},
		{key: "http.body_contains", text: c.HTTP.BodyContains},
		{key: "tcp.address", text: c.TCP.Address},
		{key: "sql.query", text: c.SQL.Query},
		{key: "exec.output_contains", text: c.Exec.OutputContains},
	}
	for name, value := range c.HTTP.Headers {
		texts = append(texts, checkText{key: "http.headers." + name, text: value, saved: true, secrets: true})
	}
	for name, value := range c.HTTP.Header {
		texts = append(texts, checkText{key: "http.header." + name, text: value})
	}
	for key, list := range map[string][]string{"http.json_equals": c.HTTP.JSONEquals, "sql.equals": c.SQL.Equals, "exec.command": c.Exec.Command} {
		for i, one := range list {
			texts = append(texts, checkText{key: fmt.Sprintf("%s[%d]", key, i), text: one})
		}
	}
	slices.SortFunc(texts, func(a, b checkText) int { return strings.Compare(a.key, b.key) })
	return texts
}

// Facts returns the values of {{name}} in the checks of a node.
func (n *Node) Facts() map[string]string {
	entry, _ := n.Config.Node(n.Name)
	facts := map[string]string{"environment": n.Environment, "node": n.Name, "stack": n.Stack}
	if entry.PublicIP != "" {
		facts["public_ip"] = entry.PublicIP
		if address, err := netip.ParseAddr(entry.PublicIP); err == nil && address.Is6() {
			facts["public_ip"] = "[" + entry.PublicIP + "]" // as in URLs and addresses
		}
	}
	if tag := n.Variables["TAG"].Value; tag != "" {
		facts["release"] = tag
	}
	for name, variable := range n.Variables {
		facts[variableFact+name] = variable.Value
	}
	return facts
}

// checks finds names in the node's checks for which the node does not have a fact.
func (l *loader) checks() {
	facts := l.node.Facts()
	checks, keys := l.node.Checks()
	for i, check := range checks {
		for _, text := range check.texts() {
			names, _ := slots.Names(text.text) // validated
			for _, name := range names {
				_, known := facts[name]
				if known || !slices.Contains(factNames(), name) && !strings.HasPrefix(name, variableFact) {
					continue
				}
				l.faults.add(l.node.Config.Place(keys[i]+"."+text.key), factHint(name, l.node.Name), "the check %q needs {{%s}}, which node %s does not have", check.Name, name, l.node.Name)
			}
		}
	}
}

func factHint(name, node string) string {
	variable, isVariable := strings.CutPrefix(name, variableFact)
	switch {
	case isVariable:
		return "set " + variable + " in node.env"
	case name == "release":
		return "set TAG in node.env"
	}
	return fmt.Sprintf("set %s for the node %s in config.yml, or set nodes in the check", name, node)
}

// validateChecks finds contradictions in `deployment.checks`.
func (v *validator) validateChecks() {
	var names []string
	checks := checkValidator{v}
	for i, check := range v.config.Deployment.Checks {
		key := fmt.Sprintf("deployment.checks[%d]", i)
		names = append(names, check.Name)
		v.listsNodes(key+".nodes", check.Nodes)
		v.listsStacks(key+".stacks", check.Stacks, check.Nodes)
		checks.validateKind(key, check)
		checks.validateTexts(key, check, v.config.Deployment.Checks[:i])
	}
	v.unique("deployment.checks[].name", names)
}

// checkValidator validates one check.
type checkValidator struct{ v *validator }

func (c checkValidator) validateKind(key string, check Check) {
	var kinds []string
	for _, kind := range []string{"http", "tcp", "sql", "exec"} {
		if c.v.config.set(key + "." + kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) != 1 {
		c.v.add(key, "write exactly one of http, tcp, sql, exec", "the check %q has %s", check.Name, strings.Join(append(kinds, "no kind")[:max(1, len(kinds))], " and "))
		return
	}
	at := key + "." + kinds[0]
	switch kinds[0] {
	case "http":
		c.validateHTTP(at, check)
	case "sql":
		c.validateSQL(at, check)
	case "exec":
		if len(check.Exec.Command) == 0 && c.v.config.set(at+".command") {
			c.v.add(at+".command", "write the program and its arguments", "%s.command is empty", at)
		}
	}
}

func (c checkValidator) validateHTTP(key string, check Check) {
	h := check.HTTP
	eitherOf(c.v, key, "token_secret", "token_file")
	validateTLS(c.v, key)
	if h.JSONPath == "" && (len(h.JSONEquals) > 0 || h.SaveAs != "") {
		c.v.add(key, "add json_path: PATH, such as data.items[0].id", "%s has json_equals or save_as, but no json_path", key)
	}
	if slices.Contains(factNames(), h.SaveAs) {
		c.v.add(key+".save_as", "choose another name", "%s.save_as: {{%s}} is a fact of the node", key, h.SaveAs)
	}
	for _, section := range []struct {
		key     string
		headers map[string]string
	}{{".headers", h.Headers}, {".header", h.Header}} {
		for name := range section.headers {
			if !regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$").MatchString(name) {
				c.v.add(key+section.key, "write a name such as Content-Type", "%s%s: %q is not a valid header name", key, section.key, name)
			}
		}
	}
	if strings.HasPrefix(h.URL, "http:") && c.v.config.set(key+".tls") {
		c.v.add(key+".tls", "write https://, or remove tls", "%s has tls, but its url is not https", key)
	}
}

func (c checkValidator) validateSQL(key string, check Check) {
	validateLogin(c.v, key, check.SQL.SSLMode)
	for _, need := range []struct{ name, own, shared string }{
		{"host", check.SQL.Host, c.v.config.Database.Host}, {"name", check.SQL.Name, c.v.config.Database.Name}, {"user", check.SQL.User, c.v.config.Database.User},
	} {
		if need.own == "" && need.shared == "" && !c.v.config.set(key+"."+need.name) && !c.v.config.set("database."+need.name) {
			c.v.add(key, fmt.Sprintf("add %s here, or database.%s", need.name, need.name), "%s does not set the database's %s", key, need.name)
		}
	}
}

// validateLogin validates the login and the TLS settings of a database at key.
func validateLogin(v *validator, key, sslmode string) {
	eitherOf(v, key, "password_secret", "password_file")
	validateTLS(v, key)
	if insecure := key + ".tls.insecure_skip_verify"; v.config.set(insecure) {
		v.add(insecure, "write sslmode: require", "%s does not apply to databases", insecure)
	}
	if v.config.set(key+".tls") && sslmode != "verify-full" {
		v.add(key+".tls", "add sslmode: verify-full, or remove tls", "%s has tls, which sslmode: %s ignores", key, sslmode)
	}
}

func validateTLS(v *validator, key string) {
	eitherOf(v, key+".tls", "ca_secret", "ca_file")
	eitherOf(v, key+".tls", "insecure_skip_verify", "ca_file")
	eitherOf(v, key+".tls", "insecure_skip_verify", "ca_secret")
}

// eitherOf finds two keys of which only one may be set.
func eitherOf(v *validator, key, a, b string) {
	if v.config.set(key+"."+a) && v.config.set(key+"."+b) {
		v.add(key+"."+b, "remove one of the two", "%s has both %s and %s", key, a, b)
	}
}

// validateTexts validates the names in a check's texts. The check may use values that
// the earlier checks save.
func (c checkValidator) validateTexts(key string, check Check, earlier []Check) {
	var saved []string
	for _, one := range earlier {
		if one.HTTP.SaveAs != "" && covers(one.Nodes, check.Nodes) && sharesStacks(one.Stacks, check.Stacks) {
			saved = append(saved, one.HTTP.SaveAs)
		}
		if one.HTTP.SaveAs != "" && one.HTTP.SaveAs == check.HTTP.SaveAs {
			c.v.add(key+".http.save_as", "choose another name", "the checks %q and %q both save {{%s}}", one.Name, check.Name, one.HTTP.SaveAs)
		}
	}
	for _, text := range check.texts() {
		names, err := slots.Names(text.text)
		if err != nil {
			c.v.add(key+"."+text.key, "write {{name}}, without spaces", "%s.%s: %w", key, text.key, err)
			continue
		}
		for _, name := range names {
			c.validateName(key+"."+text.key, name, text, saved)
		}
	}
}

func (c checkValidator) validateName(key, name string, text checkText, saved []string) {
	known := append(factNames(), "env.NAME of node.env")
	if text.saved {
		known = append(known, saved...)
	}
	switch {
	case slices.Contains(known, name), strings.HasPrefix(name, variableFact):
	case strings.HasPrefix(name, secretFact) && text.secrets:
	case strings.HasPrefix(name, secretFact):
		c.v.add(key, "send it in http.headers or http.body: other texts can appear in logs", "{{%s}}: a secret is not allowed in %s", name, text.key)
	case slices.Contains(saved, name):
		c.v.add(key, "use it in the url, headers or body of an http check", "{{%s}}: a saved value is not allowed in %s", name, text.key)
	default:
		c.v.add(key, oneOf(name, known), "{{%s}} is not defined", name)
	}
}

// sharesStacks reports whether a check of the stacks some follows each rollout that one of the
// stacks others does. An empty list means the last stack.
func sharesStacks(some, others []string) bool {
	if len(others) == 0 {
		return len(some) == 0
	}
	return !slices.ContainsFunc(others, func(stack string) bool { return !slices.Contains(some, stack) })
}

// covers reports whether a check on the nodes some runs on each of the nodes others.
// An empty list means all nodes.
func covers(some, others []string) bool {
	if len(some) == 0 {
		return true
	}
	return len(others) > 0 && !slices.ContainsFunc(others, func(node string) bool { return !slices.Contains(some, node) })
}
