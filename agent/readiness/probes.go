package readiness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/manifests"
)

// Probes ask for what the release gates need. The gates and the doctor share them, so
// that both give the same result.
type Probes struct {
	Settings  *settings.Settings
	Engine    Engine                      // nil: no engine is asked
	Begun     func() (deploy.Info, error) // waits for the engine's answer to Ready; nil: it was not asked yet
	Node      *manifests.Node
	Files     func(name string) (checks.Secret, error) // of check_dir
	Stack     *compose.Stack
	Images    []string
	Databases []checks.Database // with a login
}

// Ready asks the engine for its version and role.
func (p *Probes) Ready(ctx context.Context) (deploy.Info, error) {
	switch {
	case p.Engine == nil:
		return deploy.Info{}, nil
	case p.Begun != nil:
		return p.Begun()
	}
	return p.Engine.Ready(ctx)
}

// Pushed checks that the images are in their registries: each node must be able to pull
// them, also when it starts a task again later.
func (p *Probes) Pushed(ctx context.Context, v *Verdict) {
	if len(p.Images) == 0 {
		return
	}
	if p.Engine == nil {
		v.Transient = append(v.Transient, errors.New("there is no engine to ask for images"))
		return
	}
	found, err := p.Engine.Pushed(ctx, p.Images)
	if err != nil {
		v.Transient = append(v.Transient, err)
		return
	}
	good := 0
	for _, one := range found {
		err := fault.New(fault.Place{}, one.Remedy, "image %s: %s", shortImage(one.Image), one.Problem)
		switch {
		case one.Missing:
			v.Refusals = append(v.Refusals, err)
		case one.Problem != "":
			v.Transient = append(v.Transient, err)
		default:
			good++
		}
	}
	if good == len(found) {
		v.Pass("%s in the registry", plural.Count(good, "image"))
	}
}

// shortImage gives an image reference without the digest after a tag.
func shortImage(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
		return name
	}
	return image
}

// Disk checks that there is enough free space for images and state.
func (p *Probes) Disk(v *Verdict, gate manifests.DiskGate, ready deploy.Info) {
	wanted := gate.Bytes()
	if wanted == 0 {
		return
	}
	folders := []string{gate.Path}
	if gate.Path == "" {
		folders = []string{above(p.Settings.StateDir)}
		if ready.Local && ready.DataRoot != "" {
			folders = append(folders, ready.DataRoot)
		}
	}
	var least uint64
	fullest := ""
	for _, folder := range folders {
		free, err := freeUnder(folder)
		switch {
		case err != nil && gate.Path == "":
			v.Warn(err) // an engine's folder need not be visible to the agent
			continue
		case err != nil:
			v.Transient = append(v.Transient, fault.WithHint(err, "let deployment.gates.disk.path of config.yml name a folder of this node"))
			return
		case free < wanted:
			v.Transient = append(v.Transient, fault.New(fault.Place{}, "free some space: `docker system df` shows what takes it, `docker image prune` removes old images; deployment.gates.disk.min_free of config.yml sets the bound",
				"%s are free under %s, less than %s", Size(free), folder, gate.MinFree))
			return
		}
		if fullest == "" || free < least {
			least, fullest = free, folder
		}
	}
	if fullest != "" {
		v.Pass("%s free under %s", Size(least), fullest)
	}
}

// above gives a folder, or its nearest parent that exists.
func above(folder string) string {
	for {
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			return folder
		}
		folder = filepath.Dir(folder)
	}
}

// freeUnder gives the free bytes of a folder's file system.
func freeUnder(folder string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return 0, fmt.Errorf("look at the disk under %s: %w", folder, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil //nolint:gosec // a block size is positive
}

// Size gives a number of bytes as text. It never rounds up: a size just below a bound is
// not shown as the bound.
func Size(bytes uint64) string { return fmt.Sprintf("%d.%02d GB", bytes/1e9, bytes%1e9/1e7) }

// databaseLimit is how long the database may take to answer.
const databaseLimit = 10 * time.Second

// Database checks that the database answers: with a login if one is known, otherwise by
// its port.
func (p *Probes) Database(ctx context.Context, v *Verdict) {
	section := p.Node.Config.Database
	if section.Host == "" { // the node's floor asks for it
		v.Refusals = append(v.Refusals, fault.New(p.Node.Config.Place("database"), "add database.host to config.yml", "the node's policy.floor asks for a database that answers, but config.yml does not set database.host"))
		return
	}
	port := cmp.Or(section.Port, 5432)
	ctx, cancel := context.WithTimeout(ctx, databaseLimit)
	defer cancel()
	for _, database := range p.Databases {
		if database.Host != section.Host || database.Port != port {
			continue
		}
		if _, _, err := database.First(ctx, "SELECT 1"); err != nil {
			v.Transient = append(v.Transient, p.databaseFault(database.String(), err))
			return
		}
		v.Pass("database answers")
		return
	}
	address := net.JoinHostPort(section.Host, strconv.Itoa(port))
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		v.Transient = append(v.Transient, p.databaseFault(address, err))
		return
	}
	_ = connection.Close()
	v.Pass("database takes connections")
}

func (p *Probes) databaseFault(name string, err error) error {
	return fault.New(p.Node.Config.Place("database"), "see that it is up and that this node reaches it; deployment.gates.database: false of config.yml rolls out without",
		"the database %s does not answer: %w", name, err)
}
