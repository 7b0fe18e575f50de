package gittest

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Server starts a process for each connection, as inetd does. The processes end with the
// test.
type Server struct {
	URL string // without the slash and the name of the repository

	KeyFile, KnownHostsFile string // for ssh

	mu       sync.Mutex
	accepted int
	hang     bool
	held     []net.Conn
}

// Accepted returns the number of connections so far.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Hang accepts connections without an answer, or disables that.
func (s *Server) Hang(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = on
}

// Daemon serves the repositories in root with git daemon.
func Daemon(tb testing.TB, root string, options Options) *Server {
	tb.Helper()
	config := writeConfig(tb, options)
	s := &Server{}
	addr := s.listen(tb, func() *exec.Cmd {
		cmd := exec.Command("git", "daemon", "--inetd", "--export-all", "--informative-errors", "--base-path="+root, root)
		cmd.Env = append(gitEnv(), "GIT_CONFIG_GLOBAL="+config)
		return cmd
	})
	s.URL = "git://" + addr.String()
	return s
}

// SSH serves the repositories in root with a real sshd that accepts one key.
func SSH(tb testing.TB, root string, options Options) *Server {
	tb.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd"
	}
	if _, err := os.Stat(sshd); err != nil {
		tb.Fatal("sshd is missing; install openssh-server")
	}
	if os.Getuid() == 0 { // the privilege separation folder, which the boot normally creates
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	s := &Server{KeyFile: keyPair(tb, dir, "client"), KnownHostsFile: filepath.Join(dir, "known_hosts")}
	lines := []string{
		"HostKey " + keyPair(tb, dir, "host"), "AuthorizedKeysFile " + s.KeyFile + ".pub",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no", "StrictModes no", "PidFile none",
		"PermitRootLogin prohibit-password", "LogLevel ERROR",
		// SHLVL prevents bash from reading the user's .bashrc.
		"SetEnv SHLVL=1 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=" + writeConfig(tb, options),
	}
	if !options.Version0 {
		lines = append(lines, "AcceptEnv GIT_PROTOCOL")
	}
	config := filepath.Join(dir, "sshd_config")
	writeFile(tb, config, strings.Join(lines, "\n")+"\n", 0o600)
	addr := s.listen(tb, func() *exec.Cmd { return exec.Command(sshd, "-i", "-e", "-f", config) })
	host, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		tb.Fatal(err)
	}
	writeFile(tb, s.KnownHostsFile, fmt.Sprintf("[%s]:%d %s", addr.IP, addr.Port, host), 0o600)
	s.URL = fmt.Sprintf("ssh://%s@%s%s", me.Username, addr, root)
	return s
}

// listen passes each connection to a process as its standard input and output.
func (s *Server) listen(tb testing.TB, serve func() *exec.Cmd) *net.TCPAddr {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.accepted++
			s.held = append(s.held, conn)
			hang := s.hang
			s.mu.Unlock()
			if hang {
				continue
			}
			running.Go(func() { handOver(tb, conn, serve()) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		for _, conn := range s.held {
			_ = conn.Close()
		}
		s.mu.Unlock()
		running.Wait()
	})
	return listener.Addr().(*net.TCPAddr)
}

// handOver runs a process on a connection until either ends.
func handOver(tb testing.TB, conn net.Conn, cmd *exec.Cmd) {
	tb.Helper()
	file, err := conn.(*net.TCPConn).File()
	_ = conn.Close() // the process has its own copy
	if err != nil {
		return // closed at the end of the test
	}
	cmd.Stdin, cmd.Stdout = file, file
	err = cmd.Start()
	_ = file.Close()
	if err != nil {
		tb.Errorf("start %s: %v", cmd.Path, err)
		return
	}
	_ = cmd.Wait() // it fails when the client ends the connection
}

func keyPair(tb testing.TB, dir, name string) string {
	tb.Helper()
	file := filepath.Join(dir, name)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file).CombinedOutput(); err != nil {
		tb.Fatalf("ssh-keygen (install openssh-client): %v\n%s", err, out)
	}
	return file
}

// writeConfig writes a server's git configuration to a new file, because two servers can
// serve the repository with different options.
func writeConfig(tb testing.TB, options Options) string {
	tb.Helper()
	config := serverConfig(options.Whole)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(config)) {
		section, name, _ := strings.Cut(key, ".")
		fmt.Fprintf(&text, "[%s]\n\t%s = %s\n", section, name, config[key])
	}
	file := filepath.Join(tb.TempDir(), "gitconfig")
	writeFile(tb, file, text.String(), 0o600)
	return file
}

func writeCertificate(tb testing.TB, certificate *x509.Certificate) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "ca.pem")
	writeFile(tb, file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})), 0o644)
	return file
}

func writeFile(tb testing.TB, file, content string, mode os.FileMode) {
	tb.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		tb.Fatal(err)
	}
}
