package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// refusing is a writer that takes nothing.
type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, errors.New("no more") }

// TestPrint pulls an image from a registry that requires a login and has it print something. No
// container is left, whatever happens.
func TestPrint(t *testing.T) {
	s := swarmtest.Engine(t)
	r := s.Registry(t, swarmtest.RegistryOptions{User: "robot", Password: "canary-password"})
	large := strings.Repeat("0123456789abcdef\n", 100_000)
	name := r.PushRelease(t, "coin/release:1", large)
	logins := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(logins, []byte(r.Login("canary-password")), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := func(ctx context.Context, logins, name, argument string, into io.Writer) error {
		printer, err := deploy.ConnectPrinter(s.Host, logins)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = printer.Close() }()
		return printer.Print(ctx, name, argument, into)
	}
	var out bytes.Buffer
	if err := runs(t.Context(), logins, name, "release", &out); err != nil || out.String() != large {
		t.Errorf("printed %d bytes, %v", out.Len(), err)
	}
	if err := runs(t.Context(), logins, name, "release", refusing{}); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("with a full writer: %v", err)
	}
	if err := runs(t.Context(), logins, name, "nothing", &out); err == nil || !strings.Contains(err.Error(), `exit code 2: app: error: unknown command "nothing"`) {
		t.Errorf("with another argument: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runs(ctx, logins, name, "serve", io.Discard) }()
	confined(t, s)
	cancel()
	if err := <-ended; err == nil {
		t.Error("a run that was cancelled has succeeded")
	}
	s.Forget(t, name)
	if err := runs(t.Context(), "", name, "release", &out); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("without a login: %v", err)
	}
	if left, err := printing(t, s); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func printing(t *testing.T, s *swarmtest.Swarm) ([]container.Summary, error) {
	t.Helper()
	return s.API.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "coin-agent.prints"))})
}

// confined waits for the container that prints, and checks what it may do.
func confined(t *testing.T, s *swarmtest.Swarm) {
	t.Helper()
	waitfor.NoError(t, 5*time.Minute, func() error {
		found, err := printing(t, s)
		if err != nil || len(found) != 1 || found[0].State != container.StateRunning {
			return fmt.Errorf("%v, %w", found, err)
		}
		one, err := s.API.ContainerInspect(t.Context(), found[0].ID)
		if err != nil {
			return err
		}
		host := one.HostConfig
		if host.NetworkMode != "none" || host.Memory == 0 || host.PidsLimit == nil || len(host.CapDrop) != 1 || len(host.SecurityOpt) != 1 || host.LogConfig.Type != "none" || len(host.Binds)+len(one.Mounts) > 0 {
			t.Errorf("it may do %+v", host)
		}
		return nil
	})
}
