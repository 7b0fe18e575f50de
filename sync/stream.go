package sync

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

// stream is a connection to an upload-pack.
type stream struct {
	in     io.Writer
	out    io.Reader
	words  func() string // returns its error output after the end of out; nil without one
	hangUp func()
	asked  bool // a pack was requested
}

func (s *stream) refs(context.Context) (io.ReadCloser, error) { return io.NopCloser(s.out), nil }

func (s *stream) failed(err error) error {
	if !errors.Is(err, packp.ErrEmptyInput) {
		return err
	}
	if s.words != nil {
		if text := s.words(); text != "" {
			return saidError(text)
		}
	}
	return io.ErrUnexpectedEOF
}

func (s *stream) pack(_ context.Context, request *bytes.Buffer) (io.ReadCloser, error) {
	s.asked = true
	_, err := request.WriteTo(s.in)
	return io.NopCloser(s.out), err
}

func (s *stream) close() {
	if !s.asked {
		_, _ = s.in.Write(pktline.FlushPkt) // ends the upload-pack without an error
	}
	s.hangUp()
}

// starter begins a stream on a connection.
type starter func(net.Conn) (*stream, error)

// dialStream connects to addr, and has start begin the stream.
func dialStream(ctx context.Context, limit time.Duration, addr string, start starter) (session, error) {
	conn, err := dialer(limit)(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	hangUp := func() { stop(); _ = conn.Close() }
	begun, err := start(conn)
	if err != nil {
		hangUp()
		return nil, err
	}
	begun.hangUp = hangUp
	return begun, nil
}

// openDaemon connects to git daemon.
func openDaemon(remote Remote, u *url.URL) func(context.Context, version) (session, error) {
	return func(ctx context.Context, asked version) (session, error) {
		return dialStream(ctx, remote.Timeout, hostPort(u, "9418"), func(conn net.Conn) (*stream, error) {
			hello := packp.GitProtoRequest{RequestCommand: uploadPack, Pathname: u.Path, Host: u.Host}
			if asked != version0 {
				hello.ExtraParams = []string{string(asked)}
			}
			return &stream{in: conn, out: conn}, hello.Encode(conn)
		})
	}
}

// openSSH connects with one key to a host with a known key. It does not use an ssh agent
// or ~/.ssh, and always checks the host key.
func openSSH(remote Remote, u *url.URL) (func(context.Context, version) (session, error), error) {
	if _, err := sshConfig(remote, u); err != nil {
		return nil, err
	}
	return func(ctx context.Context, asked version) (session, error) {
		config, err := sshConfig(remote, u)
		if err != nil {
			return nil, err
		}
		addr := hostPort(u, "22")
		return dialStream(ctx, remote.Timeout, addr, func(conn net.Conn) (*stream, error) {
			return startSSH(conn, addr, config, command{u.Path, asked})
		})
	}, nil
}

// command is an upload-pack of a repository.
type command struct {
	path  string
	asked version
}

func startSSH(conn net.Conn, addr string, config *ssh.ClientConfig, of command) (*stream, error) {
	link, channels, requests, err := ssh.NewClientConn(conn, addr, config)
	if err != nil {
		return nil, err
	}
	shell, err := ssh.NewClient(link, channels, requests).NewSession()
	if err != nil {
		return nil, err
	}
	in, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	said := &boundedBuffer{}
	shell.Stderr = said
	if of.asked != version0 {
		_ = shell.Setenv(versionVariable, string(of.asked)) // a server that refuses it answers in version 0
	}
	if err := shell.Start(uploadPack + " '" + strings.ReplaceAll(of.path, "'", `'\''`) + "'"); err != nil {
		return nil, err
	}
	words := func() string {
		_ = shell.Wait() // completes the output, which says more than the exit status
		return string(said.kept)
	}
	return &stream{in: in, out: out, words: words}, nil
}

func sshConfig(remote Remote, u *url.URL) (*ssh.ClientConfig, error) {
	if remote.KeyFile == "" {
		return nil, fault.New(fault.Place{}, "set a file with the private key of a deploy key of the repository", "remote %s: ssh needs a key file", u.Host)
	}
	if remote.KnownHostsFile == "" {
		return nil, fault.New(fault.Place{}, "write the host's key into a file with ssh-keyscan, verify it, and set the path of the file",
			"remote %s: ssh needs a known_hosts file", u.Host)
	}
	pem, err := privatefile.Read(remote.KeyFile, "the key file", ErrAuth)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return nil, fault.New(fault.Place{}, "create a key for the agent: ssh-keygen -t ed25519 -N ''", "the key file %s has a passphrase", remote.KeyFile)
	}
	if err != nil { // the error may quote the key
		return nil, fault.New(fault.Place{}, "use a private key in OpenSSH or PEM format", "the key file %s does not contain a private key", remote.KeyFile)
	}
	trusted, err := knownhosts.NewDB(remote.KnownHostsFile)
	if err != nil {
		return nil, fault.New(fault.Place{}, "write the host's key into the file with ssh-keyscan, and verify it", "read known_hosts file: %w", err)
	}
	user := u.User.Username()
	if user == "" {
		user = "git"
	}
	return &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: trusted.HostKeyCallback(),
		// Only the kinds of the known keys, because the host may also have keys of other kinds.
		HostKeyAlgorithms: trusted.HostKeyAlgorithms(hostPort(u, "22")),
	}, nil
}

// boundedBuffer keeps the first 4096 bytes of the remote's error output.
type boundedBuffer struct {
	kept []byte
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), 4096-len(b.kept))]...)
	return len(p), nil
}
