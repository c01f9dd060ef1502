# Debian 13 without a registry. Target `build` is the root that development uses (root.tar); target `base` is the part
# of it that an image needs.
FROM scratch AS build
ADD root.tar /

FROM build AS stripped
RUN apt-mark auto '.*' >/dev/null && apt-mark manual apt ca-certificates python3 tzdata >/dev/null && \
    apt-get autoremove --quiet --yes --purge -o APT::AutoRemove::RecommendsImportant=false \
        -o APT::AutoRemove::SuggestsImportant=false && \
    rm -f /etc/pip.conf /etc/gitconfig && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt

FROM scratch AS base
COPY --from=stripped / /
