package manifests

import (
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// Review returns what is wrong with a config.yml that Load accepts: what rollouts would
// fail at, or wait for in vain.
func (c *Config) Review() error {
	v := &validator{config: c}
	v.reviewApproval()
	for i, check := range c.Deployment.Checks {
		reviewHTTP(v, fmt.Sprintf("deployment.checks[%d].http", i), check.HTTP)
	}
	return v.faults.err()
}

// CheckTag returns a fault if deployment.gates.tag does not accept a TAG, or nil.
func (n *Node) CheckTag(tag string) *fault.Error {
	for _, pattern := range n.Config.ReleaseGates().Tag.all() {
		if regexp.MustCompile(pattern).MatchString(tag) { // validated
			continue
		}
		place := n.Variables["TAG"].Place
		if place.File == "" {
			place.File = path.Join(n.Home, "node.env")
		}
		said := fmt.Sprintf("TAG is %q", tag)
		if tag == "" {
			said = "no TAG is set"
		}
		return fault.New(place, "set TAG in node.env to a release, or change deployment.gates.tag.pattern of config.yml",
			"%s, which does not match %s", said, pattern)
	}
	return nil
}

// reviewApproval finds approvals that no person can give.
func (v *validator) reviewApproval() {
	approval := v.config.Approval
	users, unknown := approval.Users()
	for i, name := range approval.Approvers {
		if slices.Contains(unknown, name) {
			unknownPerson(v, fmt.Sprintf("approval.approvers[%d]", i), name)
		}
	}
	if len(unknown) > 0 && len(users) < approval.Minimum {
		v.add("approval.minimum", "lower it, or add approvers", "approval.minimum is %d, but %d of the approvers are users", approval.Minimum, len(users))
	}
	_, unknown = approval.BoardUsers()
	for i, name := range approval.Board.Members {
		if slices.Contains(unknown, name) {
			unknownPerson(v, fmt.Sprintf("approval.board.members[%d]", i), name)
		}
	}
}

func unknownPerson(v *validator, key, name string) {
	v.add(key, fmt.Sprintf("add approval.roles with the members of %q, or write a GitLab username", name),
		"%q is neither a role in approval.roles nor a username", name)
}

// reviewHTTP finds keys of a check that exclude each other.
func reviewHTTP(v *validator, key string, h HTTPCheck) {
	authorized := func(name string) bool { return strings.EqualFold(name, "Authorization") }
	if token := h.TokenSecret + h.TokenFile; token != "" {
		for name := range h.Headers {
			if authorized(name) {
				v.add(key+".headers."+name, "remove one of the two", "%s has both a token and the header %s", key, name)
			}
		}
	}
	if h.Method == http.MethodHead && (h.Body != "" || h.BodyContains != "" || h.JSONPath != "") {
		v.add(key+".method", "write method: GET, or remove body, body_contains and json_path", "%s has a body, or expects one, which HEAD excludes", key)
	}
	if h.TLS.InsecureSkipVerify && h.TLS.ServerName != "" {
		v.add(key+".tls.server_name", "remove one of the two", "%s.tls has both insecure_skip_verify and server_name", key)
	}
}
