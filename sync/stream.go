package sync

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"

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
	words  func() string // returns its error output after the end of out
	hangUp func()
	asked  bool // a pack was requested
}

func (s *stream) refs(context.Context) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(io.LimitReader(s.out, maxRefs))
	if errors.Is(err, packp.ErrEmptyInput) {
		if text := s.words(); text != "" {
			return nil, saidError(text)
		}
		return nil, io.ErrUnexpectedEOF
	}
	return refs, err
}

func (s *stream) pack(_ context.Context, req *packp.UploadPackRequest) (io.ReadCloser, *packp.UploadPackResponse, error) {
	// One write, because the remote may answer and close before it has read everything.
	var body bytes.Buffer
	if err := encode(&body, req, true); err != nil {
		return nil, nil, err
	}
	s.asked = true
	if _, err := body.WriteTo(s.in); err != nil {
		return nil, nil, err
	}
	answer := packp.NewUploadPackResponse(req)
	if err := answer.Decode(io.NopCloser(s.out)); err != nil {
		return nil, nil, err
	}
	return answer, answer, nil
}

func (s *stream) close() {
	if !s.asked {
		_, _ = s.in.Write(pktline.FlushPkt) // ends the upload-pack without an error
	}
	s.hangUp()
}

// openDaemon connects to git daemon.
func openDaemon(remote Remote, u *url.URL) func(context.Context) (session, error) {
	return func(ctx context.Context) (session, error) {
		conn, err := dialer(remote.Timeout)(ctx, "tcp", hostPort(u, "9418"))
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		hello := packp.GitProtoRequest{RequestCommand: uploadPack, Pathname: u.Path, Host: u.Host}
		if err := hello.Encode(conn); err != nil {
			stop()
			_ = conn.Close()
			return nil, err
		}
		return &stream{in: conn, out: conn, words: func() string { return "" }, hangUp: func() { stop(); _ = conn.Close() }}, nil
	}
}

// openSSH connects with one key to a host with a known key. It does not use an ssh agent
// or ~/.ssh, and always checks the host key.
func openSSH(remote Remote, u *url.URL) (func(context.Context) (session, error), error) {
	if _, err := sshConfig(remote, u); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (session, error) {
		config, err := sshConfig(remote, u)
		if err != nil {
			return nil, err
		}
		addr := hostPort(u, "22")
		conn, err := dialer(remote.Timeout)(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		hangUp := func() { stop(); _ = conn.Close() }
		upload, err := startSSH(conn, addr, config, u.Path)
		if err != nil {
			hangUp()
			return nil, err
		}
		upload.hangUp = hangUp
		return upload, nil
	}, nil
}

func startSSH(conn net.Conn, addr string, config *ssh.ClientConfig, path string) (*stream, error) {
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
	if err := shell.Start(uploadPack + " '" + strings.ReplaceAll(path, "'", `'\''`) + "'"); err != nil {
		return nil, err
	}
	words := func() string {
		_ = shell.Wait() // completes the output, which says more than the exit status
		return said.String()
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
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
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
	mu   sync.Mutex
	kept []byte
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, p[:min(len(p), 4096-len(b.kept))]...)
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.kept)
}
