# EMCP's own image: the binary that cargo built on the host, and certificates.
# The holder of the sockets is made from the same, with "hold-sockets".
# The build context is laid out by scripts/images.sh.
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY emcp /usr/local/bin/emcp
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/emcp"]
CMD ["serve"]
