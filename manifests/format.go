package manifests

import (
	"net/mail"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// format is a rule for a text in config.yml.
type format struct {
	want    string            // completes "want …"
	pattern string            // for the JSON Schema as well
	holds   func(string) bool // an additional condition, or nil
}

func formatOf(name string) format {
	switch name {
	case "name":
		return format{want: "a name of letters, digits, '.', '_' and '-' that starts and ends with a letter or digit", pattern: `^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`}
	case "stack":
		return format{want: "a stack name of letters, digits, '_' and '-' such as sbxapp3", pattern: `^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$`}
	case "variable":
		return format{want: "a variable name such as SLACK_WEBHOOK", pattern: `^[A-Za-z_][A-Za-z0-9_]*$`}
	case "table":
		return format{want: "a table such as schema_migrations or public.schema_migrations", pattern: `^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`}
	case "column":
		return format{want: "a column such as id", pattern: `^[A-Za-z_][A-Za-z0-9_]*$`}
	case "host":
		return format{want: "a host name or address, without a port", pattern: `^([A-Za-z0-9_.-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)$`}
	case "url":
		return format{want: "a URL such as https://{{public_ip}}:5443/health, without a login", pattern: `^https?://[^\s/@?#]+([/?#]\S*)?$`}
	case "address":
		return format{want: "an address with a port such as {{public_ip}}:5443", pattern: `^[^\s/@]+:([0-9]+|\{\{\S+\}\})$`}
	case "plainfile":
		return format{want: "the name of a file in the agent's check_dir", pattern: `^[A-Za-z0-9_][A-Za-z0-9._-]*$`}
	case "jsonpath":
		return format{want: "a path such as data.items[0].id", pattern: `^(\$\.?|\.)?([A-Za-z0-9_-]+|\[[0-9]+\])((\.[A-Za-z0-9_-]+)|\[[0-9]+\])*$`}
	case "saved":
		return format{want: "a name of letters, digits and '_' such as token", pattern: `^[A-Za-z][A-Za-z0-9_]*$`}
	case "registry":
		return format{want: "a repository such as registry.example.com/coin/release, without https://", pattern: `^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+)?(/[A-Za-z0-9._-]+)*$`}
	case "absolute":
		return format{want: "an absolute path such as /srv/coin", pattern: `^/`, holds: func(s string) bool { return path.IsAbs(s) && path.Clean(s) == strings.TrimSuffix(s, "/") }}
	case "file":
		return format{want: "a file path relative to the node's folder", pattern: `^[^/~]`}
	case "endpoint":
		return format{want: "an engine address such as tcp://10.0.0.1:2376", pattern: `^(tcp|ssh|https?|unix)://.`, holds: isEndpoint}
	case "cron", "zone", "time":
		return timeFormat(name)
	case "ip":
		return format{want: "an IP address such as 10.95.81.131", pattern: `^[0-9A-Fa-f.:]+$`, holds: func(s string) bool {
			address, err := netip.ParseAddr(s)
			return err == nil && address.Zone() == ""
		}}
	case "regexp":
		return format{want: "a regular expression", holds: func(s string) bool {
			_, err := regexp.Compile(s)
			return err == nil
		}}
	case "https":
		return format{want: "an address such as https://harbor.example.com, without a login", pattern: `^https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/?$`}
	case "size":
		return format{want: "a size such as 5GB or 512MiB", pattern: sizePattern}
	case "services":
		return format{want: "a service of the compose files, or a pattern such as *_api", pattern: `^[^\s/]+$`, holds: func(s string) bool {
			_, err := path.Match(s, "")
			return err == nil && !strings.ContainsAny(s, " \t/")
		}}
	case "email":
		return format{want: "an e-mail address such as ops@example.com", pattern: `^[^@\s]+@[^@\s]+$`, holds: func(s string) bool {
			address, err := mail.ParseAddress(s)
			return err == nil && address.Address == s
		}}
	}
	return format{pattern: `\S`, want: "a text"}
}

// matches reports whether the rule accepts a text.
func (f format) matches(text string) bool {
	if !regexp.MustCompile(f.pattern).MatchString(text) {
		return false
	}
	return f.holds == nil || f.holds(text)
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
