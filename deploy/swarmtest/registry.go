package swarmtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/internal/waitfor"
)

// outside is an address in a private engine's network that is not the engine's own host.
// Unlike at 127.0.0.1, the engine requires TLS from a registry there. The address is
// reserved for documentation.
const outside = "192.0.2.1"

// RegistryOptions are the options of a registry.
type RegistryOptions struct {
	User, Password string // the login that it requires; if empty, none
	TLS            bool   // it has a certificate of its own CA; needs a private engine
	Distrusted     bool   // with TLS: the engine does not trust the CA
}

// Registry is a real image registry that the engine of a test can reach.
type Registry struct {
	Address string // host:port, the beginning of image names

	swarm   *Swarm
	options RegistryOptions
	dir     string
	process *os.Process
	ended   chan struct{}
}

// Registry starts an empty registry in the engine's network, for the duration of the test.
func (s *Swarm) Registry(tb testing.TB, options RegistryOptions) *Registry {
	tb.Helper()
	if options.TLS && s.private == nil {
		tb.Fatalf("a registry with TLS needs a network of its own\nhint: unset %s", HostVariable)
	}
	r := &Registry{swarm: s, options: options, dir: tb.TempDir()}
	host := "127.0.0.1"
	if options.TLS {
		host = outside
	}
	err := s.inNetwork(func() error {
		if options.TLS {
			if err := addOutside(); err != nil {
				return err
			}
		}
		listener, err := net.Listen("tcp", host+":0")
		if err != nil {
			return err
		}
		r.Address = listener.Addr().String()
		return listener.Close()
	})
	if err != nil {
		tb.Fatalf("start a registry: %v", err)
	}
	r.configure(tb)
	tb.Cleanup(r.Stop)
	r.Start(tb)
	return r
}

// inNetwork runs a function in the network of the private engine, if the test uses one, on a
// thread that is not used again.
func (s *Swarm) inNetwork(run func() error) error {
	if s.private == nil {
		return run()
	}
	return s.private.InNetwork(run)
}

// enterNetwork moves the calling thread to the private engine's network.
func (s *Swarm) enterNetwork() error {
	if s.private == nil {
		return nil
	}
	return s.private.enterNetwork()
}

// addOutside gives the loopback interface of the calling thread's network a
// second address.
func addOutside() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("add an address: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	alias, err := unix.NewIfreq("lo:1")
	if err != nil {
		return fmt.Errorf("add an address: %w", err)
	}
	if err := alias.SetInet4Addr(net.ParseIP(outside).To4()); err != nil {
		return fmt.Errorf("add an address: %w", err)
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, alias); err != nil {
		return fmt.Errorf("add an address: %w", err)
	}
	return nil
}

// configure writes the files of the registry.
func (r *Registry) configure(tb testing.TB) {
	tb.Helper()
	config := "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " + filepath.Join(r.dir, "data") + "}}\n" +
		"http:\n  addr: " + r.Address + "\n"
	if r.options.TLS {
		certificate, key := r.certify(tb)
		config += "  tls: {certificate: " + certificate + ", key: " + key + "}\n"
	}
	if r.options.User != "" {
		r.SetPassword(tb, r.options.Password)
		config += "auth: {htpasswd: {realm: test, path: " + r.path("htpasswd") + "}}\n"
	}
	r.write(tb, "config.yml", []byte(config))
}

func (r *Registry) path(name string) string { return filepath.Join(r.dir, name) }

func (r *Registry) write(tb testing.TB, name string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(r.path(name), content, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// SetPassword changes the password that the registry requires.
func (r *Registry) SetPassword(tb testing.TB, password string) {
	tb.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		tb.Fatal(err)
	}
	r.options.Password = password
	r.write(tb, "htpasswd", []byte(r.options.User+":"+string(hash)+"\n"))
}

// Start starts the registry, with the images that it had before, and waits for it.
func (r *Registry) Start(tb testing.TB) {
	tb.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		tb.Fatalf("%v\nhint: `make test` installs it; by hand: apt-get install docker-registry", err)
	}
	log, err := os.OpenFile(r.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	command := exec.Command(program, "serve", r.path("config.yml")) //nolint:noctx // it is ended by Stop
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // without unlocking, as for the engine
		defer close(ended)
		err := r.swarm.enterNetwork()
		if err == nil {
			err = command.Start()
		}
		started <- err
		_ = log.Close()
		if err == nil {
			_ = command.Wait()
		}
	}()
	if err := <-started; err != nil {
		tb.Fatalf("start a registry: %v", err)
	}
	r.process, r.ended = command.Process, ended
	waitfor.NoError(tb, 5*time.Minute, func() error { return r.answers(tb.Context()) })
}

// answers tells whether the registry accepts connections.
func (r *Registry) answers(ctx context.Context) error {
	select {
	case <-r.ended:
		content, err := os.ReadFile(r.path("log"))
		return errors.Join(fmt.Errorf("the registry has ended: %s", content), err)
	default:
	}
	return r.swarm.inNetwork(func() error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.Address)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// Stop stops the registry. Its images stay for the next Start.
func (r *Registry) Stop() {
	if r.process == nil {
		return
	}
	_ = r.process.Kill()
	<-r.ended
	r.process = nil
}

// Login gives the registry's entry in docker's config.json with a password.
func (r *Registry) Login(password string) string {
	return `{"auths": {` + strconv.Quote(r.Address) + `: {"username": ` + strconv.Quote(r.options.User) +
		`, "password": ` + strconv.Quote(password) + `}}}`
}

// Log gives the log of the registry.
func (r *Registry) Log(tb testing.TB) string {
	tb.Helper()
	content, err := os.ReadFile(r.path("log"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}
