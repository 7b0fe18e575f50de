// Package option stands for the options of Google's clients.
package option

// ClientOption is an option that is ignored.
type ClientOption struct{}

// WithTokenSource ignores its value, as the others do.
func WithTokenSource(any) ClientOption { return ClientOption{} }

// WithCredentialsJSON gives an option.
func WithCredentialsJSON([]byte) ClientOption { return ClientOption{} }

// WithGRPCConn gives an option.
func WithGRPCConn(any) ClientOption { return ClientOption{} }

// WithGRPCDialOption gives an option.
func WithGRPCDialOption(any) ClientOption { return ClientOption{} }

// WithEndpoint gives an option.
func WithEndpoint(string) ClientOption { return ClientOption{} }

// WithUniverseDomain gives an option.
func WithUniverseDomain(string) ClientOption { return ClientOption{} }
