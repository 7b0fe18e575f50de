package manifests

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/internal/slots"
)

// Connection is a connection that config.yml has this node open for a check or a gate, and
// the credentials that are sent over it.
type Connection struct {
	Name    string // what opens it, such as "check health"
	Key     string // its key in config.yml
	HostKey string // the key that names the host

	Scheme  string // http, https, tcp or postgresql
	Host    string // "" if config.yml does not give it; Unknown says why
	Port    int
	Unknown string
	TLS     bool // nothing is sent unencrypted

	Credentials []Credential
}

// CredentialKind says where a credential is.
type CredentialKind string

// The kinds of credentials.
const (
	CredentialFile   CredentialKind = "file"   // in check_dir of the node
	CredentialSecret CredentialKind = "secret" // in the node's encrypted files
	CredentialSaved  CredentialKind = "saved"  // saved by an earlier check
)

// Credential is what a connection sends and others must not get.
type Credential struct {
	Kind CredentialKind
	Name string
	Key  string // that names it in config.yml
	From string // the address that a saved value came from
}

// String returns the credential as errors name it.
func (c Credential) String() string {
	switch c.Kind {
	case CredentialFile:
		return "the file " + c.Name + " of check_dir"
	case CredentialSaved:
		return "the saved value {{" + c.Name + "}}"
	case CredentialSecret:
	}
	return "the secret " + c.Name
}

// Address returns scheme, host and port, to compare connections.
func (c Connection) Address() string { return c.Scheme + "://" + strings.ToLower(c.HostPort()) }

// HostPort returns host and port; "" if they are not known.
func (c Connection) HostPort() string {
	if c.Host == "" {
		return ""
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
}

// Connections lists what the checks, the migration check and the gates of config.yml
// connect this node to, in their order.
func (n *Node) Connections() []Connection {
	facts := n.Facts()
	entries, keys := n.Checks()
	var all []Connection
	saved := map[string]string{} // the address that each value comes from
	for i, entry := range entries {
		one := Connection{Name: "check " + entry.Name, Key: keys[i]}
		switch {
		case entry.HTTP.URL != "":
			one.HostKey = keys[i] + ".http.url"
			one.overHTTP(entry.HTTP, facts, saved)
			if entry.HTTP.SaveAs != "" {
				saved[entry.HTTP.SaveAs] = one.Address()
			}
		case entry.TCP.Address != "":
			one.HostKey = keys[i] + ".tcp.address"
			one.overTCP(entry.TCP.Address, facts)
		case entry.SQL.Query != "":
			one.HostKey = keys[i] + ".sql.host"
			one.overSQL(entry.SQL, n.Config.Database)
		default:
			continue // in a container
		}
		all = append(all, one)
	}
	if check := n.Config.Deployment.MigrationCheck; check.Enabled {
		one := Connection{Name: "migration_check", Key: migrationKey, HostKey: "database.host"}
		one.overSQL(check.SQL(), n.Config.Database)
		all = append(all, one)
	}
	return append(all, gateConnections(n.Config)...)
}

// gateConnections lists what the gates connect to, as far as config.yml names it.
func gateConnections(c *Config) []Connection {
	var all []Connection
	gates := c.ReleaseGates()
	if gate := gates.Vulnerabilities; gate.Asked && gate.Registry != "" {
		one := Connection{Name: "gates.vulnerabilities", Key: "deployment.gates.vulnerabilities", HostKey: "deployment.gates.vulnerabilities.registry"}
		if address, err := url.Parse(gate.Registry); err == nil {
			one.to(address)
		}
		one.send(CredentialFile, gate.UserFile, "user_file")
		one.send(CredentialFile, gate.TokenFile, "token_file")
		all = append(all, one)
	}
	if gates.Database && c.Database.Host != "" {
		one := Connection{Name: "gates.database", Key: "deployment.gates.database", HostKey: "database.host"}
		one.overSQL(SQLCheck{}, c.Database) // with the login of a check, or without one
		all = append(all, one)
	}
	return all
}

// aSavedValue stands in an address for a value that only the run of the checks knows.
const aSavedValue = "coin-agent-saved-value"

// overHTTP says where a request goes, and what it sends.
func (c *Connection) overHTTP(h HTTPCheck, facts, saved map[string]string) {
	c.send(CredentialFile, h.TokenFile, "http.token_file")
	c.send(CredentialSecret, h.TokenSecret, "http.token_secret")
	for _, text := range (Check{HTTP: h}).texts() {
		names, _ := slots.Names(text.text) // validated
		for _, name := range names {
			secret, isSecret := strings.CutPrefix(name, secretFact)
			from, isSaved := saved[name]
			_, isFact := facts[name]
			switch {
			case isFact:
			case isSecret:
				c.send(CredentialSecret, secret, text.key)
			case isSaved:
				c.Credentials = append(c.Credentials, Credential{Kind: CredentialSaved, Name: name, Key: c.Key + "." + text.key, From: from})
			}
		}
	}
	c.sort()
	text, ok := c.filled(h.URL, facts, saved)
	if !ok {
		return
	}
	address, err := url.Parse(text)
	switch {
	case err != nil:
		c.Unknown = "its url is not valid"
	case strings.Contains(strings.ToLower(address.Host), aSavedValue):
		c.Unknown = "a saved value decides its host"
	default:
		c.to(address)
	}
}

// filled replaces the facts in an address. It gives false if one is missing.
func (c *Connection) filled(text string, facts, saved map[string]string) (string, bool) {
	filled, err := slots.Fill(text, func(name string) (string, error) {
		if fact, ok := facts[name]; ok {
			return fact, nil
		}
		if _, ok := saved[name]; ok {
			return aSavedValue, nil
		}
		return "", fmt.Errorf("{{%s}} is not known", name)
	})
	if err != nil {
		c.Unknown = err.Error()
	}
	return filled, err == nil
}

// to says which host and port an address has.
func (c *Connection) to(address *url.URL) {
	port := "80"
	if c.Scheme, c.TLS = address.Scheme, address.Scheme == "https"; c.TLS {
		port = "443"
	}
	number, err := strconv.ParseUint(cmp.Or(address.Port(), port), 10, 16)
	if err != nil || address.Hostname() == "" {
		c.Unknown = "its address is not valid"
		return
	}
	c.Host, c.Port = address.Hostname(), int(number) //nolint:gosec // a port
}

func (c *Connection) overTCP(text string, facts map[string]string) {
	text, ok := c.filled(text, facts, nil)
	if !ok {
		return
	}
	host, port, err := net.SplitHostPort(text)
	number, badPort := strconv.ParseUint(port, 10, 16)
	if err != nil || badPort != nil || host == "" {
		c.Unknown = "its address is not valid"
		return
	}
	c.Scheme, c.Host, c.Port = "tcp", host, int(number) //nolint:gosec // a port
}

// overSQL says where a query goes. With sslmode prefer no password is sent unencrypted,
// except to this machine.
func (c *Connection) overSQL(sql SQLCheck, shared Database) {
	c.Scheme, c.Host, c.Port = "postgresql", cmp.Or(sql.Host, shared.Host), cmp.Or(sql.Port, shared.Port, 5432)
	c.TLS = sql.SSLMode != "disable"
	if c.Host == "" {
		c.Unknown = "the database's host is not set"
	}
	section := ""
	if c.Key != migrationKey {
		section = "sql."
	}
	c.send(CredentialFile, sql.PasswordFile, section+"password_file")
	c.send(CredentialSecret, sql.PasswordSecret, section+"password_secret")
}

// send adds a credential, unless its name is empty.
func (c *Connection) send(kind CredentialKind, name, key string) {
	if name != "" {
		c.Credentials = append(c.Credentials, Credential{Kind: kind, Name: name, Key: c.Key + "." + key})
	}
}

// sort sorts the credentials, each once.
func (c *Connection) sort() {
	order := func(a, b Credential) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) }
	slices.SortStableFunc(c.Credentials, order)
	c.Credentials = slices.CompactFunc(c.Credentials, func(a, b Credential) bool { return order(a, b) == 0 })
}

// CredentialHosts lists the hosts that a credential may be sent to where the policy of the
// node does not decide that: the database's server, the registries, and the nodes, with the
// key in config.yml that names each.
func (c *Config) CredentialHosts() map[string]string {
	hosts := map[string]string{}
	add := func(host, key string) {
		if host != "" {
			hosts[strings.ToLower(host)] = key
		}
	}
	for i, node := range c.Nodes {
		add(node.PublicIP, fmt.Sprintf("nodes[%d].public_ip", i))
	}
	base, _, _ := strings.Cut(c.Base.Registry, "/")
	add((&url.URL{Host: base}).Hostname(), "base.registry")
	for _, gates := range []Gates{c.Deployment.Gates, c.ReleaseGates()} { // as written, and as they hold
		if address, err := url.Parse(gates.Vulnerabilities.Registry); err == nil {
			add(address.Hostname(), "deployment.gates.vulnerabilities.registry")
		}
	}
	add(c.Database.Host, "database.host")
	return hosts
}
