package desired

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
)

// Bounds say where the credentials of a node may go: by the node's policy, and, where that
// has no word about a credential, by the config.yml of the last good revision and the new
// one. A commit alone can name no new host for a credential.
type Bounds struct {
	Policy *policy.Policy // nil: the node has none
	// Good gives the node as the last good revision has it, or an error if its files cannot
	// be read. Nil: there is none yet, or it is not known, as for offline commands.
	Good func() (*manifests.Node, error)
}

// judge refuses each connection of a node that would go to a host, or send a credential,
// that the node does not allow. What config.yml does not give yet is left out if partial.
func (b Bounds) judge(node *manifests.Node, partial bool) error {
	j := &judgement{bounds: b, node: node, own: node.Config.CredentialHosts()}
	var faults []error
	for _, one := range node.Connections() {
		if one.Unknown == "" || !partial {
			faults = append(faults, j.of(one))
		}
	}
	return errors.Join(faults...)
}

// judgement is one call of judge.
type judgement struct {
	bounds Bounds
	node   *manifests.Node
	own    map[string]string // the hosts that the node's config.yml gives credentials to, by default

	asked bool // the last good revision was read
	good  map[string]string
	sent  map[string][]string // the hosts that it sends each file to
	why   error               // it cannot be read
}

// of judges a connection.
func (j *judgement) of(c manifests.Connection) error {
	rules := j.bounds.Policy
	if c.Unknown != "" && (!rules.MayConnect("") || len(c.Credentials) > 0) {
		return j.fault(c, c.Key, "write the host into config.yml, or as {{env.NAME}} into node.env", "it is not known where it connects to: %s", c.Unknown)
	}
	if !rules.MayConnect(c.HostPort()) {
		return j.fault(c, c.Key, lineFor("hosts", c.Host, rules.Checks != nil && rules.Checks.Hosts != nil), "policy.checks.hosts of the node does not allow a connection to %s", c.HostPort())
	}
	var faults []error
	for _, credential := range c.Credentials {
		err := j.credential(c, credential)
		if err == nil && !c.TLS && !loopback.Is(c.Host) && credential.From != c.Address() {
			err = j.fault(c, credential.Key, encrypted(c), "%s would go to %s unencrypted, and only this machine may get a credential so", credential, c.Host)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func encrypted(c manifests.Connection) string {
	if c.Scheme == "http" {
		return "write https://; or check a port of this machine, at 127.0.0.1"
	}
	return "write sslmode: verify-full, or sslmode: require"
}

// credential judges whether a connection may send a credential.
func (j *judgement) credential(c manifests.Connection, credential manifests.Credential) error {
	rules, key := j.bounds.Policy, policy.CredentialKey(credential)
	if key == "" {
		return j.fault(c, credential.Key, "rename the file", "a file of check_dir with a name like %s cannot be bound to a host", credential.Name)
	}
	allowed, decided := rules.MaySend(key, c.HostPort())
	if allowed || !decided && credential.Kind != manifests.CredentialFile && loopback.Is(c.Host) {
		return nil // what a service of this node gets is in the hands of the commit anyway
	}
	if !decided && credential.Kind == manifests.CredentialSaved && credential.From == c.Address() {
		return nil // back to where it came from
	}
	named := false
	if rules != nil && rules.Checks != nil {
		_, named = rules.Checks.Credentials[key]
	}
	hint := lineFor("credentials."+key, c.Host, named)
	if decided {
		return j.fault(c, credential.Key, hint, "policy.checks.credentials of the node does not allow %s to go to %s", credential, c.HostPort())
	}
	if why := j.byDefault(c, credential); why != "" {
		return j.fault(c, credential.Key, hint, "%s must not go to %s: %s", credential, c.Host, why)
	}
	return nil
}

// byDefault says why a connection may not send a credential about which the policy has no
// word; "" if it may.
func (j *judgement) byDefault(c manifests.Connection, credential manifests.Credential) string {
	const rule = "where the node's policy says nothing, a credential goes only to database.host, the registry and nodes[].public_ip"
	named := keyOf(j.own, c.Host)
	if named == "" {
		return rule
	}
	if j.bounds.Good == nil {
		return ""
	}
	j.readGood()
	sent := j.sent[credential.Name]
	switch {
	case j.why != nil:
		return fmt.Sprintf("%s of the last good revision, whose files cannot be read: %s", rule, j.why)
	case keyOf(j.good, c.Host) == "":
		return fmt.Sprintf("this commit names it as %s, the last good revision does not; %s of both", named, rule)
	case credential.Kind == manifests.CredentialFile && len(sent) > 0 && !slices.ContainsFunc(sent, func(host string) bool { return sameHost(host, c.Host) }):
		return "the last good revision sends it only to " + strings.Join(sent, ", ")
	}
	return ""
}

// readGood reads the last good revision once.
func (j *judgement) readGood() {
	if j.asked {
		return
	}
	j.asked = true
	node, err := j.bounds.Good()
	if err != nil {
		j.why = err
		return
	}
	j.good, j.sent = node.Config.CredentialHosts(), map[string][]string{}
	for _, c := range node.Connections() {
		for _, credential := range c.Credentials {
			if credential.Kind == manifests.CredentialFile && !slices.Contains(j.sent[credential.Name], c.Host) {
				j.sent[credential.Name] = append(j.sent[credential.Name], c.Host)
			}
		}
	}
}

// Webhook judges the URL of the webhook that the repository's secrets have. Only its host
// is in errors. A host of this machine is a service that others cannot reach: only the node
// opens it to commits.
func (b Bounds) Webhook(text string, place fault.Place) error {
	address, err := url.Parse(strings.TrimSpace(text))
	if err != nil || address.Hostname() == "" {
		return nil //nolint:nilerr // the sender says what is wrong with it
	}
	port := address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[address.Scheme]
	}
	at, host := net.JoinHostPort(address.Hostname(), port), strings.ToLower(strings.TrimSuffix(address.Hostname(), "."))
	hint := fmt.Sprintf("if that is right, have the node's operator add %q to policy.notifications.hosts in agent.yml, or set slack_webhook_file there", at)
	switch allowed, said := b.Policy.MayNotify(at); {
	case allowed:
	case said:
		return fault.New(place, hint, "the webhook's URL is not used: policy.notifications.hosts of the node does not allow %s", at)
	case loopback.Is(host), strings.HasSuffix(host, ".localhost"), net.ParseIP(host).IsUnspecified():
		return fault.New(place, hint, "the webhook's URL is not used: it names this machine, %s, which a commit must not choose", at)
	}
	return nil
}

func (j *judgement) fault(c manifests.Connection, key, hint, format string, args ...any) error {
	return fault.New(j.node.Config.Place(key), hint, "%s: %w", c.Name, bounded{fmt.Errorf(format, args...)})
}

// ErrBounded is the cause of each refusal of a connection or of a credential.
var ErrBounded = errors.New("the node does not allow the connection, or the credential on it")

// bounded is a refusal.
type bounded struct{ error }

func (b bounded) Is(target error) bool { return target == ErrBounded }

// lineFor gives the hint that allows a host by a rule of policy.checks.
func lineFor(rule, host string, there bool) string {
	if strings.Contains(host, ":") {
		host = `"` + host + `"`
	}
	section, name, of := strings.Cut(rule, ".")
	line := fmt.Sprintf("policy: {checks: {%s: [%s]}}", section, host)
	if of {
		line = fmt.Sprintf("policy: {checks: {%s: {%s: [%s]}}}", section, name, host)
	}
	if there {
		line = fmt.Sprintf("%s to the list policy.checks.%s", host, rule)
	}
	return "if that is right, add to agent.yml on the node: " + line + "; after systemctl reload coin-agent the next look judges the commit again"
}

// keyOf gives the key in config.yml that names a host; "" if none does.
func keyOf(hosts map[string]string, host string) string {
	for _, one := range slices.Sorted(maps.Keys(hosts)) {
		if sameHost(one, host) {
			return hosts[one]
		}
	}
	return ""
}

// sameHost compares names without regard to case, and addresses by value.
func sameHost(a, b string) bool {
	one, err := netip.ParseAddr(a)
	two, otherErr := netip.ParseAddr(b)
	if err == nil && otherErr == nil {
		return one.Unmap() == two.Unmap()
	}
	return a != "" && strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
