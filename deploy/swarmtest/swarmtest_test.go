package swarmtest_test

import (
	"os"
	"testing"

	"github.com/docker/docker/client"

	"coin.internal/coin-agent/deploy/swarmtest"
)

// TestPrivateEngine starts an engine, calls it through a recorder, and checks that nothing
// is left after it stopped.
func TestPrivateEngine(t *testing.T) {
	private, err := swarmtest.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	recorder, stop, err := swarmtest.NewRecorder(private.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	api, err := client.NewClientWithOpts(client.WithHost(recorder.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = api.Close() }()
	info, err := api.Info(t.Context())
	if err != nil || !info.Swarm.ControlAvailable {
		t.Errorf("manager %v, %v", info.Swarm.ControlAvailable, err)
	}
	recorder.Reset()
	recorder.BeforeWrite(1, func(swarmtest.Call) error { return os.ErrDeadlineExceeded })
	if err := api.VolumeRemove(t.Context(), "none", false); err == nil {
		t.Error("the write passed")
	}
	if writes := recorder.Writes(); len(writes) != 1 || writes[0].String() != "DELETE /volumes/none" {
		t.Errorf("writes %v", writes)
	}
	if err := private.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(private.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
}
