package vaulttest

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/waitfor"
)

// Real starts a real Vault in development mode, in memory and on the loopback, which ends with
// the test.
func Real(tb testing.TB, binary string) Server {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a free port
	if err != nil {
		tb.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	server := exec.CommandContext(ctx, binary, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root", "-dev-listen-address="+address)
	server.Env = append(os.Environ(), "HOME="+tb.TempDir())
	output, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		stop()
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		stop()
		_ = server.Wait()
	})
	unseal := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if key, found := strings.CutPrefix(lines.Text(), "Unseal Key: "); found {
				unseal <- key
			}
		}
	}()
	made := Server{Address: "http://" + address, Root: "root"}
	select {
	case made.Unseal = <-unseal:
	case <-time.After(5 * time.Minute):
		tb.Fatal("Vault did not start within five minutes")
	}
	waitfor.NoError(tb, 5*time.Minute, func() error {
		response, err := http.Get(made.Address + "/v1/sys/health") //nolint:noctx // of the loopback
		if err == nil {
			err = response.Body.Close()
		}
		return err
	})
	return made
}
