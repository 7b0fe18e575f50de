package policy

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/slots"
	"coin.internal/coin-agent/manifests"
)

// Checks are the hosts that config.yml may have the agent connect to.
type Checks struct {
	// Hosts are patterns of host or host:port. Nil is not set.
	Hosts Patterns `json:"hosts,omitzero" yaml:"hosts,omitempty"`
	// Credentials are the hosts that a file of check_dir may be sent to, by the file's name.
	// Nil is not set.
	Credentials PerService `json:"credentials,omitzero" yaml:"credentials,omitempty"`
}

func readChecks(p *Policy, file string, value *yaml.Node) error {
	p.Checks = &Checks{}
	return eachKnown(file, "checks", value, map[string]func(*yaml.Node) error{
		"hosts": func(value *yaml.Node) (err error) {
			p.Checks.Hosts, err = readPatterns(file, "checks.hosts", value)
			return err
		},
		"credentials": func(value *yaml.Node) error {
			p.Checks.Credentials = PerService{}
			return eachKey(file, "checks.credentials", value, func(name string, value *yaml.Node) (err error) {
				if strings.ContainsAny(name, "*/") {
					return fault.New(placeIn(file, value), "write the name of one file in check_dir", "policy.checks.credentials.%s is not the name of a file", name)
				}
				p.Checks.Credentials[name], err = readPatterns(file, "checks.credentials."+name, value)
				return err
			})
		},
	})
}

// MayConnect reports whether the agent may connect to a host for config.yml. The address is
// a host, or host:port.
func (p *Policy) MayConnect(address string) bool {
	if p == nil || p.Checks == nil || p.Checks.Hosts == nil {
		return p == nil || !p.Strict
	}
	return matchHost(p.Checks.Hosts, address)
}

// MaySend reports whether a file of check_dir may be sent to a host. Without a rule for
// credentials that is not known: said is false.
func (p *Policy) MaySend(file, address string) (allowed, said bool) {
	if p == nil || p.Checks == nil || p.Checks.Credentials == nil {
		return false, p != nil && p.Strict
	}
	return matchHost(p.Checks.Credentials[file], address), true
}

// matchHost reports whether a pattern matches the host, or the host with its port.
func matchHost(hosts Patterns, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), ""
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host != "" && slices.ContainsFunc(hosts, func(pattern string) bool {
		pattern = strings.ToLower(pattern)
		return glob(pattern, host) || port != "" && glob(pattern, net.JoinHostPort(host, port))
	})
}

// contact is a server that config.yml has the agent connect to, and the files of check_dir
// that it gets.
type contact struct {
	what    string // for messages
	key     string // in config.yml
	address string // host:port; "" if it is known only when a check runs
	files   []string
}

// contacts lists the servers that config.yml names for this node.
func contacts(node *manifests.Node) []contact {
	config := node.Config
	entries, keys := config.Checks(node.Name)
	var all []contact
	for i, entry := range entries {
		one := contact{what: "the check " + entry.Name}
		switch {
		case entry.HTTP.URL != "":
			one.key, one.address, one.files = keys[i]+".http.url", urlHost(filled(node, entry.HTTP.URL)), []string{entry.HTTP.TokenFile}
		case entry.TCP.Address != "":
			one.key, one.address = keys[i]+".tcp.address", filled(node, entry.TCP.Address)
		case entry.SQL.Query != "":
			one.key, one.address, one.files = keys[i]+".sql.host", database(config, entry.SQL), []string{entry.SQL.PasswordFile}
		default:
			continue
		}
		all = append(all, one)
	}
	if check := config.Deployment.MigrationCheck; check.Enabled {
		all = append(all, contact{"the migration check", "database.host", database(config, check.SQL()), []string{check.PasswordFile}})
	} else if config.ReleaseGates().Database {
		all = append(all, contact{"the database gate", "database.host", database(config, manifests.SQLCheck{}), nil})
	}
	if gate := config.ReleaseGates().Vulnerabilities; gate.Registry != "" {
		all = append(all, contact{"the vulnerability gate", "deployment.gates.vulnerabilities.registry", urlHost(gate.Registry), []string{gate.UserFile, gate.TokenFile}})
	}
	for i := range all {
		all[i].files = slices.DeleteFunc(all[i].files, func(name string) bool { return name == "" })
	}
	return all
}

func database(config *manifests.Config, check manifests.SQLCheck) string {
	port := cmp.Or(check.Port, config.Database.Port, 5432)
	return net.JoinHostPort(strings.Trim(cmp.Or(check.Host, config.Database.Host), "[]"), strconv.Itoa(port))
}

// filled gives a text with the node's facts; "" if it needs what only a running check knows.
func filled(node *manifests.Node, text string) string {
	facts := node.Facts()
	text, err := slots.Fill(text, func(name string) (string, error) {
		value, known := facts[name]
		if !known {
			return "", fmt.Errorf("%s is not a fact", name)
		}
		return value, nil
	})
	if err != nil {
		return ""
	}
	return text
}

// urlHost gives the host:port of an address; "" if it has none.
func urlHost(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Hostname() == "" {
		return ""
	}
	return net.JoinHostPort(parsed.Hostname(), cmp.Or(parsed.Port(), map[string]string{"http": "80"}[parsed.Scheme], "443"))
}

// judgeChecks refuses servers that the agent may not connect to.
func judgeChecks(j *judgement) {
	if j.Node == nil {
		return
	}
	for _, one := range contacts(j.Node) {
		if j.policy.MayConnect(one.address) {
			continue
		}
		text := one.address
		if text == "" {
			text = "a server that is known only when it runs"
		}
		j.refuse("checks", "", j.Node.Config.Place(one.key), allow("name another host", "checks.hosts", cmp.Or(one.address, "its host")), "%s connects to %s", one.what, text)
	}
}

func suggestChecks(p *Policy, j *judgement) {
	if j.Node == nil {
		return
	}
	found := &Checks{}
	for _, one := range contacts(j.Node) {
		if one.address == "" {
			continue
		}
		found.Hosts = sorted(append(found.Hosts, one.address))
		for _, name := range one.files {
			found.Credentials = found.Credentials.add(name, one.address)
		}
	}
	if found.Hosts != nil {
		p.Checks = found
	}
}
