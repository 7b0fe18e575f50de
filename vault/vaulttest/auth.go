package vaulttest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// system answers the requests of an administrator.
func (c *call) system() {
	switch section, name, _ := strings.Cut(strings.TrimPrefix(c.path, "sys/"), "/"); section {
	case "seal":
		c.d.sealed = true
		c.done()
	case "mounts":
		options, _ := c.body["options"].(map[string]any)
		c.d.mounts[name] = "kv-v1"
		if options["version"] == "2" {
			c.d.mounts[name] = "kv-v2"
		}
		c.done()
	case "auth":
		c.d.mounts["auth/"+name] = c.text("type")
		c.done()
	case "policies":
		c.d.policies[strings.TrimPrefix(name, "acl/")] = rules(c.text("policy"))
		c.done()
	default:
		c.fail(http.StatusNotFound)
	}
}

var (
	pathRule   = regexp.MustCompile(`path\s+"([^"]+)"\s*\{\s*capabilities\s*=\s*\[([^\]]*)\]\s*\}`)
	capability = regexp.MustCompile(`"([a-z]+)"`)
)

// rules reads a policy.
func rules(text string) map[string][]string {
	all := map[string][]string{}
	for _, found := range pathRule.FindAllStringSubmatch(text, -1) {
		for _, one := range capability.FindAllStringSubmatch(found[2], -1) {
			all[found[1]] = append(all[found[1]], one[1])
		}
	}
	return all
}

// authMethod answers the requests that configure auth methods.
func (c *call) authMethod() {
	mount, kind, rest, found := c.mount()
	parts := strings.Split(rest, "/")
	switch {
	case !found:
		c.fail(http.StatusNotFound, `no handler for route "`+c.path+`". route entry not found.`)
	case kind == "jwt" && rest == "config":
		c.d.keys = c.list("jwt_validation_pubkeys")
		c.done()
	case parts[0] == "role" && len(parts) == 2:
		c.d.roles[mount+"/"+parts[1]] = &role{id: rand.Text(), policies: c.list("token_policies"), audiences: c.list("bound_audiences"), ttl: c.duration("token_ttl")}
		c.done()
	case kind == "approle" && len(parts) == 3 && c.d.roles[mount+"/"+parts[1]] != nil:
		of := c.d.roles[mount+"/"+parts[1]]
		if parts[2] == "role-id" {
			c.give(map[string]any{"data": map[string]any{"role_id": of.id}})
			return
		}
		id := rand.Text()
		of.secrets = append(of.secrets, id)
		c.give(map[string]any{"data": map[string]any{"secret_id": id}})
	default:
		c.fail(http.StatusNotFound)
	}
}

// logIn answers logins, which need no token.
func (c *call) logIn() {
	mount, kind, _, found := c.mount()
	switch {
	case !found:
		c.fail(http.StatusForbidden, "permission denied") // nobody learns which methods there are
	case kind == "approle":
		for name, of := range c.d.roles {
			if strings.HasPrefix(name, mount+"/") && of.id == c.text("role_id") && slices.Contains(of.secrets, c.text("secret_id")) {
				c.issue(of.policies, of.ttl, true, true)
				return
			}
		}
		c.fail(http.StatusBadRequest, "invalid role or secret ID")
	case kind == "jwt":
		of := c.d.roles[mount+"/"+c.text("role")]
		if of == nil {
			c.fail(http.StatusBadRequest, `role "`+c.text("role")+`" could not be found`)
			return
		}
		if !c.d.signed(c.text("jwt"), of.audiences) {
			c.fail(http.StatusBadRequest, "error validating token: no known key successfully validated the token signature")
			return
		}
		c.issue(of.policies, of.ttl, true, true)
	}
}

// signed reports whether a known key signed a token for one of the audiences, and it is valid.
func (d *Double) signed(text string, audiences []string) bool {
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return false
	}
	for _, text := range d.keys {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			continue
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		var claims jwt.Claims
		if err == nil && parsed.Claims(key, &claims) == nil && claims.Validate(jwt.Expected{AnyAudience: audiences, Time: time.Now()}) == nil {
			return true
		}
	}
	return false
}

// issue gives a new token.
func (c *call) issue(policies []string, ttl time.Duration, renewable, defaults bool) {
	if defaults {
		policies = append(slices.Clone(policies), "default")
	}
	if ttl == 0 {
		ttl = 768 * time.Hour
	}
	text := "hvs." + rand.Text() + rand.Text()
	c.d.tokens[text] = &token{policies: policies, ttl: ttl, expires: time.Now().Add(ttl), renewable: renewable}
	c.give(map[string]any{"auth": map[string]any{"client_token": text, "lease_duration": int(ttl.Seconds()), "renewable": renewable, "token_policies": policies}})
}

// tokens answers the requests about tokens.
func (c *call) tokens() {
	switch strings.TrimPrefix(c.path, "auth/token/") {
	case "create":
		renewable, set := c.body["renewable"].(bool)
		bare, _ := c.body["no_default_policy"].(bool)
		c.issue(c.list("policies"), c.duration("ttl"), renewable || !set, !bare)
	case "lookup-self":
		left := 0
		if !c.holder.expires.IsZero() {
			left = int(time.Until(c.holder.expires).Seconds())
		}
		c.give(map[string]any{"data": map[string]any{"ttl": left, "renewable": c.holder.renewable, "policies": c.holder.policies}})
	case "renew-self":
		if !c.holder.renewable {
			c.fail(http.StatusBadRequest, "lease is not renewable")
			return
		}
		c.holder.expires = time.Now().Add(c.holder.ttl)
		c.give(map[string]any{"auth": map[string]any{"client_token": c.token, "lease_duration": int(c.holder.ttl.Seconds())}})
	case "revoke-self":
		delete(c.d.tokens, c.token)
		c.done()
	case "revoke-accessor": // the double's tokens are their own accessors
		delete(c.d.tokens, c.text("accessor"))
		c.done()
	case "accessors":
		c.give(map[string]any{"data": map[string]any{"keys": slices.Sorted(maps.Keys(c.d.tokens))}})
	default:
		c.fail(http.StatusNotFound)
	}
}
