package manifests

import (
	"net/mail"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
)

// format is a rule for a text in config.yml.
type format struct {
	want    string            // completes "want …"
	pattern string            // for the JSON Schema as well
	holds   func(string) bool // an additional condition, or nil
}

const namePattern = `^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`

// formats has the rules by the names in the struct tags of Config. The rule "" applies
// to texts without a format.
var formats = map[string]format{
	"":          {want: "a text", pattern: `\S`},
	"name":      {want: "a name of letters, digits, '.', '_' and '-' that starts and ends with a letter or digit", pattern: namePattern},
	"stack":     {want: "a stack name of letters, digits, '_' and '-' such as sbxapp3", pattern: `^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$`},
	"variable":  {want: "a variable name such as SLACK_WEBHOOK", pattern: `^[A-Za-z_][A-Za-z0-9_]*$`},
	"table":     {want: "a table such as schema_migrations or public.schema_migrations", pattern: `^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`},
	"column":    {want: "a column such as id", pattern: `^[A-Za-z_][A-Za-z0-9_]*$`},
	"host":      {want: "a host name or address, without a port", pattern: `^([A-Za-z0-9_.-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)$`},
	"url":       {want: "a URL such as https://{{public_ip}}:5443/health, without a login", pattern: `^https?://[^\s/@?#]+([/?#]\S*)?$`},
	"page":      {want: "a URL such as https://node3.example.com, without a login", pattern: `^https?://[^\s/@?#{}]+([/?#][^\s{}]*)?$`},
	"address":   {want: "an address with a port such as {{public_ip}}:5443", pattern: `^[^\s/@]+:([0-9]+|\{\{\S+\}\})$`},
	"plainfile": {want: "the name of a file in the agent's check_dir", pattern: `^[A-Za-z0-9_][A-Za-z0-9._-]*$`},
	"jsonpath":  {want: "a path such as data.items[0].id", pattern: `^(\$\.?|\.)?([A-Za-z0-9_-]+|\[[0-9]+\])((\.[A-Za-z0-9_-]+)|\[[0-9]+\])*$`},
	"saved":     {want: "a name of letters, digits and '_' such as token", pattern: `^[A-Za-z][A-Za-z0-9_]*$`},
	"registry":  {want: "a repository such as registry.example.com/coin/release, without https://", pattern: `^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+)?(/[A-Za-z0-9._-]+)*$`},
	"absolute":  {want: "an absolute path such as /srv/coin", pattern: `^/`, holds: isAbsolute},
	"folder":    {want: "a folder below the node's folder such as platform, or a dot for the node's folder itself", pattern: `^[^/~]`, holds: isFolder},
	"file":      {want: "a file path relative to the node's folder", pattern: `^[^/~]`},
	"endpoint":  {want: "an engine address such as tcp://10.0.0.1:2376", pattern: `^(tcp|ssh|https?|unix)://.`, holds: isEndpoint},
	"cron":      {want: "five cron fields such as 0 18 * * FRI", pattern: `^\S+( +\S+){4}$`, holds: parses(parseSchedule)},
	"zone":      {want: "a time zone such as Europe/Amsterdam", pattern: `^[A-Za-z][A-Za-z0-9_+/-]*$`, holds: isZone},
	"time":      {want: "a time such as 2026-12-24T18:00:00+01:00", pattern: `^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}`, holds: isTime},
	"date":      {want: "a day such as 2027-03-01", pattern: `^\d{4}-\d{2}-\d{2}$`, holds: isDate},
	"ip":        {want: "an IP address such as 10.95.81.131", pattern: `^[0-9A-Fa-f.:]+$`, holds: isIP},
	"regexp":    {want: "a regular expression", holds: parses(regexp.Compile)},
	"https":     {want: "an address such as https://harbor.example.com, without a login", pattern: `^https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/?$`},
	"size":      {want: "a size such as 5GB or 512MiB", pattern: sizePattern},
	"services":  {want: "a service of the compose files, or a pattern such as *_api", pattern: `^[^\s/]+$`, holds: isPattern},
	"email":     {want: "an e-mail address such as ops@example.com", pattern: `^[^@\s]+@[^@\s]+$`, holds: isEmail},
}

// patterns has the pattern of each rule, compiled once.
var patterns = sync.OnceValue(func() map[string]*regexp.Regexp {
	compiled := map[string]*regexp.Regexp{}
	for _, rule := range formats {
		compiled[rule.pattern] = regexp.MustCompile(rule.pattern)
	}
	return compiled
})

// matches reports whether the rule accepts a text.
func (f format) matches(text string) bool {
	if !patterns()[f.pattern].MatchString(text) {
		return false
	}
	return f.holds == nil || f.holds(text)
}

func isAbsolute(text string) bool {
	return path.IsAbs(text) && path.Clean(text) == strings.TrimSuffix(text, "/")
}

func isIP(text string) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && address.Zone() == ""
}

// parses returns the condition that a function parses the text.
func parses[T any](parse func(string) (T, error)) func(string) bool {
	return func(text string) bool {
		_, err := parse(text)
		return err == nil
	}
}

func isPattern(text string) bool {
	_, err := path.Match(text, "")
	return err == nil && !strings.ContainsAny(text, " \t/")
}

func isEmail(text string) bool {
	address, err := mail.ParseAddress(text)
	return err == nil && address.Address == text
}

func isEndpoint(text string) bool {
	address, err := url.Parse(text)
	if err != nil {
		return false
	}
	switch address.Scheme {
	case "unix":
		return address.Host == "" && path.IsAbs(address.Path)
	case "tcp":
		return address.Hostname() != "" && address.Port() != ""
	}
	return address.Hostname() != ""
}
