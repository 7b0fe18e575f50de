package swarmtest

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"coin.internal/coin-agent/internal/progress"
)

// certificates is the directory in which any engine looks for the CAs of registries.
const certificates = "/etc/docker/certs.d"

// certify creates a CA and a certificate for the registry. Unless Distrusted is set, the
// engine trusts the CA until the test ends.
func (r *Registry) certify(tb testing.TB) (certificate, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registry"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(outside)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		tb.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	r.write(tb, "ca.crt", public)
	r.write(tb, "key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}))
	if !r.options.Distrusted {
		r.trust(tb, public)
	}
	return r.path("ca.crt"), r.path("key")
}

// trust makes engines trust the CA for this registry only. The directory belongs to the
// machine, so it has the name of the registry and is removed after the test.
func (r *Registry) trust(tb testing.TB, ca []byte) {
	tb.Helper()
	dir := filepath.Join(certificates, r.Address)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// Push pushes an image of the demo program to the registry, and gives its reference and
// digest. Images with another content differ from it. The image also stays on the engine.
func (r *Registry) Push(tb testing.TB, name, content string) (reference, digest string) {
	tb.Helper()
	reference = r.Address + "/" + name
	r.commit(tb, reference, nil, "LABEL content="+content)
	return reference, r.push(tb, reference)
}

// PushRelease pushes an image of a release, which prints the bundle for the argument release. It
// does not stay on the engine.
func (r *Registry) PushRelease(tb testing.TB, name, bundle string) (reference string) {
	tb.Helper()
	reference = r.Address + "/" + name
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	err := archive.WriteHeader(&tar.Header{Name: "release", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(bundle))})
	if err == nil {
		_, err = io.WriteString(archive, bundle)
	}
	if err := errors.Join(err, archive.Close()); err != nil {
		tb.Fatal(err)
	}
	r.commit(tb, reference, &files, `ENTRYPOINT ["/app"]`)
	r.push(tb, reference)
	r.swarm.Forget(tb, reference)
	return reference
}

// commit makes an image of the demo program, with more files.
func (r *Registry) commit(tb testing.TB, reference string, files io.Reader, change string) {
	tb.Helper()
	const base = "coin/app:1"
	on := r.swarm
	on.Image(tb, base)
	created, err := on.API.ContainerCreate(tb.Context(), &container.Config{Image: base}, nil, nil, nil, "")
	if err != nil {
		tb.Fatal(err)
	}
	if files != nil {
		err = on.API.CopyToContainer(tb.Context(), created.ID, "/", files, container.CopyToContainerOptions{})
	}
	if err == nil {
		_, err = on.API.ContainerCommit(tb.Context(), created.ID, container.CommitOptions{Reference: reference, Changes: []string{change}})
	}
	if err := errors.Join(err, on.API.ContainerRemove(tb.Context(), created.ID, container.RemoveOptions{})); err != nil {
		tb.Fatal(err)
	}
}

// push pushes an image to the registry, and gives its digest.
func (r *Registry) push(tb testing.TB, reference string) (digest string) {
	tb.Helper()
	on := r.swarm
	login, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: r.options.User, Password: r.options.Password, ServerAddress: r.Address})
	if err != nil {
		tb.Fatal(err)
	}
	answer, err := on.API.ImagePush(tb.Context(), reference, image.PushOptions{RegistryAuth: login})
	if err != nil {
		tb.Fatalf("push %s: %v", reference, err)
	}
	defer func() { _ = answer.Close() }()
	if err := progress.Drain(answer); err != nil {
		tb.Fatalf("push %s: %v", reference, err)
	}
	// With the containerd image store the engine does not tell the digest of what it pushed.
	found, err := on.API.DistributionInspect(tb.Context(), reference, login)
	if err != nil {
		tb.Fatalf("push %s: %v", reference, err)
	}
	return found.Descriptor.Digest.String()
}

// Forget removes an image from the engine, so that it has to be pulled. The containerd image
// store keeps the last name of an image that runs.
func (s *Swarm) Forget(tb testing.TB, references ...string) {
	tb.Helper()
	for _, reference := range references {
		_, err := s.API.ImageRemove(tb.Context(), reference, image.RemoveOptions{Force: true, PruneChildren: true})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			tb.Fatal(err)
		}
	}
}
