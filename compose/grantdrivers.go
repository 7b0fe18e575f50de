package compose

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"
)

var (
	// plainNetworkOptions are those of a network's driver that choose nothing of the node.
	plainNetworkOptions = []string{"com.docker.network.driver.mtu", "encrypted"}
	// plainLogOptions are those of a log driver that change only what a message contains, how it
	// is buffered, and how long it is kept.
	plainLogOptions = []string{
		"cache-compress", "cache-disabled", "cache-max-file", "cache-max-size", "compress", "env", "env-regex", "fluentd-async", "fluentd-async-connect",
		"fluentd-async-reconnect-interval", "fluentd-buffer-limit", "fluentd-max-retries", "fluentd-request-ack", "fluentd-retry-wait",
		"fluentd-sub-second-precision", "fluentd-write-timeout", "gelf-compression-level", "gelf-compression-type", "gelf-tcp-max-reconnect",
		"gelf-tcp-reconnect-delay", "labels", "labels-regex", "max-buffer-size", "max-file", "max-size", "mode", "syslog-facility", "syslog-format", "tag",
	}
)

// RemoteLog names the driver of a service's logs if the engine connects to where its options
// say, as root and in the node's own network; "" if the logs stay on the node.
func RemoteLog(spec swarm.ServiceSpec) string {
	log := spec.TaskTemplate.LogDriver
	if log == nil || slices.Contains([]string{"json-file", "local", "none"}, log.Name) {
		return ""
	}
	return log.Name
}

// LogOptions gives the options of a service's log driver by which the engine connects to a
// server or reads a file of the node, such as syslog-address=tcp://logs.example.com:514,
// sorted. Only addresses and paths are shown with their value: another one may be a secret.
func LogOptions(spec swarm.ServiceSpec) []string {
	if RemoteLog(spec) == "" {
		return nil
	}
	var all []string
	options := spec.TaskTemplate.LogDriver.Options
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(plainLogOptions, name) {
			all = append(all, name+addressOf(name, options[name]))
		}
	}
	return all
}

// addressOf gives the value of an option that is an address or a path, without a login; ""
// for another one.
func addressOf(name, value string) string {
	for _, suffix := range []string{"-cert", "-capath", "-tls-key"} {
		if strings.HasSuffix(name, suffix) {
			return "=" + value
		}
	}
	for _, suffix := range []string{"-address", "-url", "-endpoint", "-host"} {
		if strings.HasSuffix(name, suffix) {
			return "=" + withoutLogin(value)
		}
	}
	return ""
}

// withoutLogin gives an address without login, query and fragment. One without a scheme is a
// host and port, or a path. What is not an address is shown as it is, so that a policy can name
// it, unless it may have a login.
func withoutLogin(value string) string {
	text, scheme := value, ""
	if !strings.Contains(value, "://") {
		scheme = "tcp://"
		text = scheme + value
	}
	address, err := url.Parse(text)
	switch {
	case err == nil:
		address.User, address.RawQuery, address.ForceQuery, address.Fragment = nil, "", false, ""
		return strings.TrimPrefix(address.String(), scheme)
	case strings.ContainsAny(value, "@?#"):
		return "(not a valid address)"
	}
	return value
}

// NetworkOptions gives the options of a network's driver, or of a service's part in it, that
// choose something of the node, such as parent=eth0, sorted. An overlay, also by no driver,
// ignores all options but the engine's own.
func NetworkOptions(driver string, options map[string]string) []string {
	var all []string
	ignores := driver == "" || driver == "overlay"
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(plainNetworkOptions, name) && (!ignores || strings.HasPrefix(name, "com.docker.network.")) {
			all = append(all, name+"="+options[name])
		}
	}
	return all
}

func (g *grants) readLog(spec swarm.ServiceSpec) {
	log := RemoteLog(spec)
	if log == "" {
		return
	}
	g.add("log driver "+log, "the engine connects to where its options say, in the node's own network")
	for _, option := range LogOptions(spec) {
		g.add("log driver "+log+" with "+option, "the engine connects there, or reads it, as root on the node")
	}
}

// readNetwork judges a service's part in a network, and the names that others reach it by.
func (g *grants) readNetwork(part swarm.NetworkAttachmentConfig) {
	name := part.Target
	own, ok := g.stack.Networks[name]
	switch {
	case !ok && name == "host":
		g.add("network host", "uses the node's network interfaces and reaches its local services")
	case !ok:
		g.add("external network "+name, "reaches containers of others on it")
		for _, alias := range part.Aliases {
			g.add("name "+alias+" on network "+name, "receives what containers of others send to that name on it")
		}
	case own.Driver != "" && own.Driver != "overlay":
		g.add("network "+name+" with driver "+own.Driver, "may use the node's network interfaces")
	}
	for _, option := range slices.Concat(NetworkOptions(own.Driver, own.Options), NetworkOptions(own.Driver, part.DriverOpts)) {
		g.add("network "+name+" with "+option, "chooses an interface, or another setting, of the node's network")
	}
}
