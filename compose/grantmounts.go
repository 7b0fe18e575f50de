package compose

import (
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"

	"coin.internal/coin-agent/internal/hostpath"
)

var (
	// engineSockets are those by which a container controls an engine.
	engineSockets = []string{"/run/docker.sock", "/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock", "/run/podman/podman.sock"}
	// socketNames are the names of such sockets, wherever they are mounted from or to.
	socketNames = []string{"docker.sock", "containerd.sock", "podman.sock"}
	// systemPaths are the files with which a container becomes root on the node if it can
	// write them, and in which it finds keys and secrets if it can read them.
	systemPaths = []string{
		"/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr",
		"/var/lib/coin-agent", "/var/lib/containerd", "/var/lib/docker", "/var/spool/cron",
	}
	// harmlessFiles are system files that containers often read.
	harmlessFiles = []string{"/etc/localtime", "/etc/timezone", "/etc/ssl/certs", "/etc/pki/ca-trust/extracted", "/usr/share/ca-certificates", "/usr/share/zoneinfo"}
)

func (g *grants) readMount(one mount.Mount) {
	switch one.Type {
	case mount.TypeBind, "":
		g.readBind("mount "+one.Source+" at "+one.Target, one.Source, one)
		if one.BindOptions != nil && strings.HasSuffix(string(one.BindOptions.Propagation), "shared") {
			g.add("mount "+one.Source+" with propagation "+string(one.BindOptions.Propagation), "its mounts appear on the node")
		}
	case mount.TypeVolume:
		g.readVolume(one)
	case mount.TypeNamedPipe:
		g.add("named pipe "+one.Source, "talks to a process of the node, such as the engine")
	case mount.TypeCluster:
		g.add("cluster volume "+one.Source, "shares its data with others")
	case mount.TypeTmpfs, mount.TypeImage:
	default:
		g.add("mount "+one.Source+" of type "+string(one.Type), "what it can do is not known to the agent")
	}
}

// readBind judges a path of the node, by the path as it is written: links on the node are
// not known here.
func (g *grants) readBind(what, source string, one mount.Mount) {
	readOnly := one.ReadOnly
	if readOnly {
		what += " (read-only)"
	}
	file := hostpath.Plain(source)
	system := slices.ContainsFunc(systemPaths, func(p string) bool { return hostpath.Within(file, p) || hostpath.Within(p, file) })
	harmless := slices.ContainsFunc(harmlessFiles, func(p string) bool { return hostpath.Within(file, p) })
	switch {
	case hostpath.Templated(source):
		g.add(what, "Swarm completes the path on the node: it may be any")
	case leadsToSocket(file), slices.Contains(socketNames, path.Base(file)), slices.Contains(socketNames, path.Base(one.Target)):
		g.add(what, "controls the engine, also if it is read-only: "+rootOnNode)
	case strings.HasSuffix(file, ".sock"):
		g.add(what, "talks to a process of the node")
	case hostpath.Within(file, "/dev"):
		g.add(what, "uses a device of the node")
	case system && !readOnly:
		g.add(what, "writes files of the system: "+rootOnNode)
	case system && !harmless:
		g.add(what, "reads files of the system, with keys and secrets")
	case readOnly:
		g.add(what, "reads files of the node")
	default:
		g.add(what, "writes files of the node")
	}
}

// leadsToSocket reports whether a path is the socket of an engine, a folder above it, or a
// link to any path. /var holds /var/run, which is a link to /run.
func leadsToSocket(file string) bool {
	return file == "/var" || hostpath.ProcessLink(file) ||
		slices.ContainsFunc(engineSockets, func(socket string) bool { return hostpath.Within(socket, file) })
}

// readVolume judges a volume. Its own ones have the stack's name as their prefix and, unless
// they are external, its label: the engine takes any other one as it finds it on the node.
func (g *grants) readVolume(one mount.Mount) {
	options := one.VolumeOptions
	if options == nil {
		options = &mount.VolumeOptions{}
	}
	if one.Source != "" && (options.Labels[LabelStack] != g.stack.Name || !strings.HasPrefix(one.Source, g.stack.Name+"_")) {
		g.add("volume "+one.Source, "shares its data with others")
	}
	driver := options.DriverConfig
	switch {
	case driver == nil:
	case driver.Name != "" && driver.Name != "local":
		g.add("volume "+one.Source+" with driver "+driver.Name, "the driver decides what it reads and writes")
	default:
		g.readLocal(one, driver.Options)
	}
}

// readLocal judges the mount that a volume of the local driver is.
func (g *grants) readLocal(one mount.Mount, driver map[string]string) {
	device, kind := driver["device"], driver["type"]
	options := strings.Split(driver["o"], ",")
	switch {
	case slices.Contains(options, "bind"), slices.Contains(options, "rbind"):
		if hostpath.Twisted(device) {
			g.add("volume "+one.Source+" of "+device, "a link on the node can lead its path anywhere: "+rootOnNode)
			return
		}
		g.readBind("volume "+one.Source+" of "+device+" at "+one.Target, device, one)
	case device == "" && kind == "", kind == "tmpfs":
	case strings.HasPrefix(kind, "nfs"), kind == "cifs", kind == "smb3":
		g.add("volume "+one.Source+" of "+kind+" "+device, "reads and writes files of another machine")
	default:
		g.add("volume "+one.Source+" of "+kind+" "+device, "the node mounts it as root: "+rootOnNode)
	}
}
