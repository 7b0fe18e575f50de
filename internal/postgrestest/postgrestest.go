// Package postgrestest runs a PostgreSQL server from Debian's package for a test: on
// a port of 127.0.0.1, with TLS and a password. It is removed after the test.
package postgrestest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/waitfor"
)

// The login of the server.
const (
	User     = "coin"
	Password = "canary-database-password-51c7"
	Name     = "coin"
)

// Server is a running PostgreSQL.
type Server struct {
	Host string
	Port int
	CA   []byte // the certificate of 127.0.0.1, in PEM form

	Sockets string // the folder of its unix socket, for clients in another network namespace

	bin, dir string
	as       *syscall.Credential // nil: the user of this process
}

// New starts a server.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{Host: "127.0.0.1", bin: programs(tb)}
	dir, err := os.MkdirTemp("/tmp", "coin-postgres-") //nolint:usetesting // its user must be able to enter it
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.dir, s.Sockets = filepath.Join(dir, "data"), dir
	s.dropRoot(tb, dir)
	password := filepath.Join(dir, "password")
	s.write(tb, password, []byte(Password+"\n"))
	s.run(tb, "initdb", "--pgdata", s.dir, "--username", User, "--pwfile", password, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync")
	certificate, key := selfSigned(tb)
	s.CA = certificate
	s.write(tb, filepath.Join(s.dir, "server.crt"), certificate)
	s.write(tb, filepath.Join(s.dir, "server.key"), key)
	s.start(tb, dir)
	s.Query(tb, "postgres", "CREATE DATABASE "+Name)
	return s
}

// programs returns the folder of the newest PostgreSQL.
func programs(tb testing.TB) string {
	tb.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		tb.Fatal("PostgreSQL is not installed: run `make test`, which installs it, or apt-get install postgresql")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}

// dropRoot makes the user nobody the owner of dir: PostgreSQL does not run as root.
func (s *Server) dropRoot(tb testing.TB, dir string) {
	tb.Helper()
	if os.Getuid() != 0 {
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		tb.Fatal(err)
	}
	uid, _ := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, _ := strconv.ParseUint(nobody.Gid, 10, 32)
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) write(tb testing.TB, path string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	if s.as != nil {
		if err := os.Chown(path, int(s.as.Uid), int(s.as.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
}

func (s *Server) command(tb testing.TB, program string, args ...string) *exec.Cmd {
	tb.Helper()
	command := exec.Command(filepath.Join(s.bin, program), args...)
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "PGPASSWORD=" + Password}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return command
}

func (s *Server) run(tb testing.TB, program string, args ...string) string {
	tb.Helper()
	output, err := s.command(tb, program, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s: %v\n%s", program, err, output)
	}
	return strings.TrimSpace(string(output))
}

// start runs the server on a free port until the test ends.
func (s *Server) start(tb testing.TB, sockets string) {
	tb.Helper()
	listener, err := net.Listen("tcp", s.Host+":0")
	if err != nil {
		tb.Fatal(err)
	}
	s.Port = listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	var log bytes.Buffer
	server := s.command(tb, "postgres", "-D", s.dir, "-p", strconv.Itoa(s.Port), "-k", sockets, "-h", s.Host,
		"-c", "fsync=off", "-c", "ssl=on", "-c", "shared_buffers=16MB", "-c", "max_connections=20")
	server.Stderr = &log
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // a fast shutdown
		if err := server.Wait(); err != nil {
			tb.Errorf("PostgreSQL: %v\n%s", err, log.String())
		}
	})
	waitfor.NoError(tb, 5*time.Minute, func() error {
		if output, err := s.command(tb, "pg_isready", "-h", s.Host, "-p", strconv.Itoa(s.Port)).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	})
}

// Program returns the path of a PostgreSQL program, such as psql.
func (s *Server) Program(name string) string { return filepath.Join(s.bin, name) }

// Exec runs SQL in the database Name and returns the result.
func (s *Server) Exec(tb testing.TB, sql string) string {
	tb.Helper()
	return s.Query(tb, Name, sql)
}

// Query runs SQL in a database and returns the result.
func (s *Server) Query(tb testing.TB, database, sql string) string {
	tb.Helper()
	return s.run(tb, "psql", "-h", s.Host, "-p", strconv.Itoa(s.Port), "-U", User, "-d", database, "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql)
}
