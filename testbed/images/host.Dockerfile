# A bare server: what an installer leaves behind, and not one package more. The .deb files that the roles ask for
# are downloaded but not installed, so that a test measures installing and not the network.
ARG BASE
FROM ${BASE}
ARG CACHED_PACKAGES
ENV LANG=C.UTF-8
RUN rm -f /etc/apt/apt.conf.d/docker-clean /usr/sbin/policy-rc.d \
 && echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/testbed \
 && apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
      systemd systemd-sysv dbus udev openssh-server sudo python3-apt iproute2 procps \
 && apt-get clean \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --download-only ${CACHED_PACKAGES} \
 && rm -f /etc/ssh/ssh_host_* /etc/machine-id \
 && touch /etc/machine-id \
 && systemctl set-default multi-user.target \
 && systemctl mask console-getty.service getty.target systemd-udevd.service systemd-udev-trigger.service \
      systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-modules-load.service \
      systemd-networkd-wait-online.service sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
      dev-hugepages.mount dev-mqueue.mount ldconfig.service \
 && useradd --create-home --shell /bin/bash deploy \
 && install -d -o deploy -g deploy -m 0700 /home/deploy/.ssh
COPY host/ /
RUN chmod 0440 /etc/sudoers.d/deploy
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init-host"]
