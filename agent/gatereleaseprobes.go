package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// releaseProbes ask for what the release gates need. The gates and the doctor share
// them, so that both say the same.
type releaseProbes struct {
	settings  *Settings
	engine    surroundings // nil: there is none to ask
	node      *manifests.Node
	stack     *compose.Stack
	images    []string
	databases []checks.Database // with a login
}

// ready asks the engine about itself.
func (p *releaseProbes) ready(ctx context.Context) (deploy.Info, error) {
	if p.engine == nil {
		return deploy.Info{}, nil
	}
	return p.engine.Ready(ctx)
}

// pushed sees that the images are in their registries: each node has to find them
// there, today and when it starts a task anew.
func (p *releaseProbes) pushed(ctx context.Context, v *verdict) {
	if len(p.images) == 0 {
		return
	}
	if p.engine == nil {
		v.troubles = append(v.troubles, errors.New("there is no engine to ask for images"))
		return
	}
	found, err := p.engine.Pushed(ctx, p.images)
	if err != nil {
		v.troubles = append(v.troubles, err)
		return
	}
	good := 0
	for _, one := range found {
		err := fault.New(fault.Place{}, one.Remedy, "image %s: %s", shortImage(one.Image), one.Problem)
		switch {
		case one.Missing:
			v.refusals = append(v.refusals, err)
		case one.Problem != "":
			v.troubles = append(v.troubles, err)
		default:
			good++
		}
	}
	if good == len(found) {
		v.pass("%s in the registry", count(good, "image"))
	}
}

// shortImage is an image without a digest that follows a tag.
func shortImage(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
		return name
	}
	return image
}

// disk sees that enough is free where images and state go.
func (p *releaseProbes) disk(v *verdict, gate manifests.DiskGate, ready deploy.Info) {
	wanted := gate.Bytes()
	if wanted == 0 {
		return
	}
	folders := []string{gate.Path}
	if gate.Path == "" {
		folders = []string{above(p.settings.StateDir)}
		if p.engine != nil && p.engine.Local() && ready.DataRoot != "" {
			folders = append(folders, ready.DataRoot)
		}
	}
	var least uint64
	fullest := ""
	for _, folder := range folders {
		free, err := freeUnder(folder)
		switch {
		case err != nil && gate.Path == "":
			v.warn(err) // an engine's folder need not be visible to the agent
			continue
		case err != nil:
			v.troubles = append(v.troubles, fault.WithHint(err, "let deployment.gates.disk.path of config.yml name a folder of this node"))
			return
		case free < wanted:
			v.troubles = append(v.troubles, fault.New(fault.Place{}, "free some space: `docker system df` shows what takes it, `docker image prune` removes old images; deployment.gates.disk.min_free of config.yml sets the bound",
				"%s are free under %s, less than %s", size(free), folder, gate.MinFree))
			return
		}
		if fullest == "" || free < least {
			least, fullest = free, folder
		}
	}
	if fullest != "" {
		v.pass("%s free under %s", size(least), fullest)
	}
}

// above gives a folder, or the nearest one above it that is there.
func above(folder string) string {
	for {
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			return folder
		}
		folder = filepath.Dir(folder)
	}
}

// freeUnder gives what is free on the file system of a folder.
func freeUnder(folder string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return 0, fmt.Errorf("look at the disk under %s: %w", folder, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil //nolint:gosec // a block size is positive
}

// size is never rounded up: what is just less than a bound is not shown as the bound.
func size(bytes uint64) string { return fmt.Sprintf("%d.%02d GB", bytes/1e9, bytes%1e9/1e7) }

// database sees that the database answers: with a login where one is known, else by
// its port.
func (p *releaseProbes) database(ctx context.Context, v *verdict) {
	section := p.node.Config.Database
	port := first(section.Port, 5432)
	ctx, cancel := context.WithTimeout(ctx, probeLimit/2)
	defer cancel()
	for _, database := range p.databases {
		if database.Host != section.Host || database.Port != port {
			continue
		}
		if _, _, err := database.First(ctx, "SELECT 1"); err != nil {
			v.troubles = append(v.troubles, p.databaseFault(database.String(), err))
			return
		}
		v.pass("database answers")
		return
	}
	address := net.JoinHostPort(section.Host, strconv.Itoa(port))
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		v.troubles = append(v.troubles, p.databaseFault(address, err))
		return
	}
	_ = connection.Close()
	v.pass("database takes connections")
}

func (p *releaseProbes) databaseFault(name string, err error) error {
	return fault.New(p.node.Config.Place("database"), "see that it is up and that this node reaches it; deployment.gates.database: false of config.yml rolls out without",
		"the database %s does not answer: %w", name, err)
}
