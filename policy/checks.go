package policy

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// Checks are the hosts that config.yml may have the agent connect to, and send credentials to.
type Checks struct {
	// Hosts are patterns of host or host:port, or prefixes of addresses. Nil is not set.
	Hosts Patterns `json:"hosts,omitzero" yaml:"hosts,omitempty"`
	// Credentials are the hosts that a credential may be sent to, by its key: the name of a
	// file in check_dir, secret.NAME or saved.NAME. Nil is not set.
	Credentials PerService `json:"credentials,omitzero" yaml:"credentials,omitempty"`
}

func readChecks(p *Policy, file string, value *yaml.Node) error {
	p.Checks = &Checks{}
	return eachKnown(file, "checks", value, map[string]func(*yaml.Node) error{
		"hosts": patternsInto(file, "checks.hosts", &p.Checks.Hosts),
		"credentials": func(value *yaml.Node) error {
			p.Checks.Credentials = PerService{}
			return eachKey(file, "checks.credentials", value, func(key, value *yaml.Node) (err error) {
				name := key.Value
				if strings.ContainsAny(name, "*/") {
					return fault.New(placeIn(file, value), "write the name of one file in check_dir, secret.NAME or saved.NAME",
						"policy.checks.credentials.%s is not the name of a file", name)
				}
				p.Checks.Credentials[name], err = readPatterns(file, "checks.credentials."+name, value)
				return err
			})
		},
	})
}

// MayConnect reports whether the agent may connect to a host for config.yml. The address is
// a host, or host:port, or "" if it is not known.
func (p *Policy) MayConnect(address string) bool {
	if p == nil || p.Checks == nil || p.Checks.Hosts == nil {
		return p == nil || !p.Strict
	}
	return matchHost(p.Checks.Hosts, address)
}

// The prefixes of the keys of credentials that are not files.
const (
	secretPrefix = "secret."
	savedPrefix  = "saved."
)

// CredentialKey gives the key of a credential in the rule checks.credentials; "" for a file
// with the name of another kind, which no rule can name.
func CredentialKey(of manifests.Credential) string {
	switch of.Kind {
	case manifests.CredentialSecret:
		return secretPrefix + of.Name
	case manifests.CredentialSaved:
		return savedPrefix + of.Name
	case manifests.CredentialFile:
	}
	if !isFile(of.Name) {
		return ""
	}
	return of.Name
}

func isFile(key string) bool {
	return !strings.HasPrefix(key, secretPrefix) && !strings.HasPrefix(key, savedPrefix)
}

// MaySend reports whether a credential, by its key, may be sent to a host. If the policy
// does not say that, said is false: about a file without a rule for credentials, and about
// another credential that the rule does not list, unless the policy is strict.
func (p *Policy) MaySend(key, address string) (allowed, said bool) {
	if p == nil || p.Checks == nil || p.Checks.Credentials == nil {
		return false, p != nil && p.Strict
	}
	hosts, listed := p.Checks.Credentials[key]
	return matchHost(hosts, address), listed || p.Strict || isFile(key)
}

// matchHost reports whether a pattern matches the host, or the host with its port, or a
// prefix has its address.
func matchHost(hosts Patterns, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), ""
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	number, err := netip.ParseAddr(host)
	return host != "" && slices.ContainsFunc(hosts, func(pattern string) bool {
		pattern = strings.ToLower(pattern)
		if prefix, prefixErr := netip.ParsePrefix(pattern); prefixErr == nil {
			return err == nil && prefix.Contains(number.Unmap())
		}
		return glob(pattern, host) || port != "" && glob(pattern, net.JoinHostPort(host, port))
	})
}

// judgeChecks refuses servers that the agent may not connect to, and those that may not get
// a credential. Where the policy says nothing of a credential, package desired decides.
func judgeChecks(j *judgement) {
	if j.of.Node == nil {
		return
	}
	for _, one := range j.of.Node.Connections() {
		address := one.HostPort()
		if !j.policy.MayConnect(address) {
			text := address
			if text == "" {
				text = "a server that is known only when it runs"
			}
			j.refuse("checks", "", j.of.Node.Config.Place(one.HostKey), allow("name another host", "checks.hosts", orHost(address)), "the %s connects to %s", one.Name, text)
			continue
		}
		for _, credential := range one.Credentials {
			key := CredentialKey(credential)
			if allowed, said := j.policy.MaySend(key, address); said && !allowed {
				j.refuse("checks", "", j.of.Node.Config.Place(credential.Key), allow("name another host", "checks.credentials."+key, orHost(address)),
					"the %s sends %s to %s", one.Name, credential, orHost(address))
			}
		}
	}
}

func orHost(address string) string {
	if address == "" {
		return "its host"
	}
	return address
}

func suggestChecks(p *Policy, j *judgement) {
	if j.of.Node == nil {
		return
	}
	found := &Checks{}
	for _, one := range j.of.Node.Connections() {
		address := one.HostPort()
		if address == "" {
			continue
		}
		found.Hosts = sorted(append(found.Hosts, address))
		for _, credential := range one.Credentials {
			if key := CredentialKey(credential); key != "" {
				found.Credentials = found.Credentials.add(key, address)
			}
		}
	}
	if found.Hosts != nil {
		p.Checks = found
	}
}
