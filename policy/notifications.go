package policy

import (
	"go.yaml.in/yaml/v3"
)

// Notifications are the hosts that notices are posted to. The URL of the webhook is a secret
// of the repository, so no judgement of a stack knows it: the agent asks when it has opened
// the secrets.
type Notifications struct {
	// Hosts are patterns of host or host:port, or prefixes of addresses. Nil is not set.
	Hosts Patterns `json:"hosts,omitzero" yaml:"hosts,omitempty"`
}

func readNotifications(p *Policy, file string, value *yaml.Node) error {
	p.Notifications = &Notifications{}
	return eachKnown(file, "notifications", value, map[string]func(*yaml.Node) error{
		"hosts": patternsInto(file, "notifications.hosts", &p.Notifications.Hosts),
	})
}

// MayNotify reports whether a commit's webhook may be at a host:port, and whether the policy
// says so.
func (p *Policy) MayNotify(address string) (allowed, said bool) {
	if p == nil || p.Notifications == nil || p.Notifications.Hosts == nil {
		return false, false
	}
	return matchHost(p.Notifications.Hosts, address), true
}
