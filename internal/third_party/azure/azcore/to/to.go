// Package to makes pointers.
package to

// Ptr gives a pointer to a value.
func Ptr[T any](value T) *T { return &value }
