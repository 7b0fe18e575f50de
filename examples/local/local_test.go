package local_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coin.internal/coin-agent/examples/local"
)

func TestAccepted(t *testing.T) {
	if err := local.Accepted(http.StatusAccepted, nil); err != nil {
		t.Error(err)
	}
	if err := local.Accepted(http.StatusUnauthorized, nil); err == nil || !strings.HasSuffix(err.Error(), "the agent answered 401 Unauthorized") {
		t.Errorf("got %v", err)
	}
	if away := errors.New("away"); !errors.Is(local.Accepted(0, away), away) {
		t.Error("the error of the request is lost")
	}
}

// TestStopAfterTheEnd signals no process that has ended: another one may have its ID.
func TestStopAfterTheEnd(t *testing.T) {
	ended, err := local.Start(exec.Command("true"), filepath.Join(t.TempDir(), "log"), local.OnThread)
	if err != nil {
		t.Fatal(err)
	}
	<-ended.Ended
	got := make(chan os.Signal, 2)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGWINCH)
	defer signal.Stop(got)
	ended.ID = os.Getpid()
	if err := errors.Join(ended.Stop(), syscall.Kill(os.Getpid(), syscall.SIGWINCH)); err != nil {
		t.Error(err)
	}
	if first := <-got; first != syscall.SIGWINCH {
		t.Errorf("got %s", first)
	}
}
